package servingcert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"testing"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
	corev1 "k8s.io/api/core/v1"
)

const dnsName = "ratify.ratify-system"

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// made returns what renew makes of data at a time, which must be something.
func made(t *testing.T, data map[string][]byte, now time.Time) map[string][]byte {
	t.Helper()
	renewed, err := renew(data, dnsName, now)
	if err != nil || renewed == nil {
		t.Fatalf("renewed to %v: %v", renewed, err)
	}
	return renewed
}

// without returns data without a key.
func without(data map[string][]byte, key string) map[string][]byte {
	data = maps.Clone(data)
	delete(data, key)
	return data
}

// shows tells whether a client that knows the authorities of one Secret accepts the certificate of another.
func shows(t *testing.T, known, shown map[string][]byte, now time.Time) bool {
	t.Helper()
	pair, err := tls.X509KeyPair(shown[certKey], shown[keyKey])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(known[authorityKey])
	_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: dnsName, Roots: roots, CurrentTime: now})
	return err == nil
}

func TestRenew(t *testing.T) {
	fresh := made(t, nil, start)
	if !shows(t, fresh, fresh, start) {
		t.Fatal("what is made is not accepted")
	}
	day := 24 * time.Hour
	for name, tt := range map[string]struct {
		data              map[string][]byte
		after             time.Duration
		authority, shown  bool // renewed
		knowsTheOneBefore bool
	}{
		"at once":                   {data: fresh},
		"before the certificate":    {data: fresh, after: 274 * day},
		"90 days before its end":    {data: fresh, after: 276 * day, shown: true, knowsTheOneBefore: true},
		"long after its end":        {data: fresh, after: 2 * 365 * day, shown: true, knowsTheOneBefore: true},
		"no key":                    {data: without(fresh, keyKey), shown: true, knowsTheOneBefore: true},
		"another key":               {data: with(fresh, keyKey, fresh[signingKey]), shown: true, knowsTheOneBefore: true},
		"no certificate":            {data: without(fresh, certKey), shown: true, knowsTheOneBefore: true},
		"text for a certificate":    {data: with(fresh, certKey, []byte("x")), shown: true, knowsTheOneBefore: true},
		"no signing key":            {data: without(fresh, signingKey), authority: true, knowsTheOneBefore: true},
		"text for a signing key":    {data: with(fresh, signingKey, []byte("x")), authority: true, knowsTheOneBefore: true},
		"no authority":              {data: without(fresh, authorityKey), authority: true, shown: true},
		"90 days before both end":   {data: fresh, after: 10*365*day - 89*day, authority: true, shown: true, knowsTheOneBefore: true},
		"after the authority's end": {data: fresh, after: 11 * 365 * day, authority: true, shown: true},
		"an authority without RSA":  {data: foreign(t, fresh), authority: true, knowsTheOneBefore: false, shown: true},
	} {
		t.Run(name, func(t *testing.T) {
			now := start.Add(tt.after)
			if !tt.authority && !tt.shown {
				if renewed, err := renew(tt.data, dnsName, now); err != nil || renewed != nil {
					t.Fatalf("it was renewed: %v", err)
				}
				return
			}
			renewed := made(t, tt.data, now)
			if got := !bytes.Equal(renewed[signingKey], tt.data[signingKey]); got != tt.authority {
				t.Errorf("authority renewed: %t", got)
			}
			if got := !bytes.Equal(renewed[certKey], tt.data[certKey]); got != tt.shown {
				t.Errorf("certificate renewed: %t", got)
			}
			if !shows(t, renewed, renewed, now) {
				t.Error("what is made is not accepted")
			}
			if got := bytes.Contains(renewed[authorityKey], fresh[authorityKey]); got != tt.knowsTheOneBefore {
				t.Errorf("the authority before is known: %t", got)
			}
			if again, err := renew(renewed, dnsName, now); err != nil || again != nil {
				t.Errorf("what is made is not left alone: %v", err)
			}
		})
	}
}

// A new authority never issues what is shown before Gatekeeper knows it, and the one before stays known.
func TestAuthorityChanges(t *testing.T) {
	now := start
	data := made(t, nil, now)
	for range 3 {
		now = now.Add(time.Hour)
		known := data
		data = made(t, without(data, signingKey), now)
		if !bytes.Equal(data[certKey], known[certKey]) || !shows(t, known, data, now) || !shows(t, data, known, now) {
			t.Error("with a new authority, what is shown changed at once")
		}
		now = now.Add(overlap + time.Minute)
		known = data
		data = made(t, data, now)
		if bytes.Equal(data[certKey], known[certKey]) || !shows(t, known, data, now) || !shows(t, data, known, now) {
			t.Error("what the new authority issued is not shown, or not accepted")
		}
		if n := bytes.Count(data[authorityKey], []byte("BEGIN CERTIFICATE")); n != 2 {
			t.Errorf("%d authorities are known, want 2", n)
		}
	}

	// A day later the one before, whose key may have been stolen, is forgotten.
	now = now.Add(retireAfter - time.Minute)
	if renewed, err := renew(data, dnsName, now); err != nil || renewed != nil {
		t.Errorf("the authority before is forgotten early: %v", err)
	}
	now = now.Add(2 * time.Minute)
	last := made(t, data, now)
	if n := bytes.Count(last[authorityKey], []byte("BEGIN CERTIFICATE")); n != 1 || !shows(t, last, data, now) || !bytes.Equal(last[certKey], data[certKey]) {
		t.Errorf("%d authorities are known, want the one whose certificate is shown", n)
	}
	if again, err := renew(last, dnsName, now); err != nil || again != nil {
		t.Errorf("it is not left alone: %v", err)
	}
}

// What Ratify v1.4 has in its Secret stays.
func TestTakesOverCertController(t *testing.T) {
	usages := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	issuer := &rotator.CertRotator{CAName: dnsName, CAOrganization: "Ratify", DNSName: dnsName, ExtKeyUsages: &usages}
	authority, err := issuer.CreateCACert(start, start.Add(10*365*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	certificate, key, err := issuer.CreateCertPEM(authority, start, start.Add(365*24*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	data := map[string][]byte{"ca.crt": authority.CertPEM, "ca.key": authority.KeyPEM, "tls.crt": certificate, "tls.key": key}
	if renewed, err := renew(data, dnsName, start.Add(time.Hour)); err != nil || renewed != nil {
		t.Errorf("it was renewed: %v", err)
	}
}

func with(data map[string][]byte, key string, value []byte) map[string][]byte {
	data = maps.Clone(data)
	data[key] = value
	return data
}

// foreign returns data with an authority that the library cannot sign with, and has not issued what is shown.
func foreign(t *testing.T, data map[string][]byte) map[string][]byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{dnsName}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(10 * 365 * 24 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	data = with(data, authorityKey, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return with(data, signingKey, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))
}

func TestCertificate(t *testing.T) {
	c := &Certificate{}
	if c.Ready() == nil {
		t.Error("ready without a certificate")
	}
	fresh := made(t, nil, start)
	for i, step := range []struct {
		data    map[string][]byte
		changed bool
		fails   bool
	}{
		{nil, false, true},
		{fresh, true, false},
		{fresh, false, false},
		{without(fresh, keyKey), false, true},
		{made(t, without(fresh, certKey), start), true, false},
	} {
		changed, err := c.Load(&corev1.Secret{Data: step.data})
		if changed != step.changed || (err != nil) != step.fails {
			t.Errorf("step %d: changed %t: %v", i, changed, err)
		}
		if ready := c.Ready() == nil; ready != (i > 0) {
			t.Errorf("step %d: ready %t", i, ready)
		}
	}
}
