package keymaterial

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"
)

func TestWarnings(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	from, to := time.Unix(1_800_000_000, 0), time.Unix(1_900_000_000, 0)
	certificate := func(ca bool) *x509.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a"}, NotBefore: from, NotAfter: to,
			IsCA: ca, BasicConstraintsValid: true}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := certificate(true)
	broken := certificate(false) // as a leaf is, it does not verify with its own key
	broken.Signature[len(broken.Signature)-1] ^= 1
	for name, tt := range map[string]struct {
		cert *x509.Certificate
		at   time.Time
		want string
	}{
		"root":        {root, from, ""},
		"last moment": {root, to, ""},
		"self-signed": {certificate(false), from, ""},
		"expired":     {root, to.Add(time.Second), "expired on 2030-03-17T17:46:40Z: only timestamped"},
		"too early":   {root, from.Add(-time.Second), "is not valid before 2027-01-15T08:00:00Z"},
		"leaf":        {broken, from, "is neither a CA's nor self-signed: trust stores leave it out; do this"},
		"both":        {broken, to.Add(time.Second), "verify with it|is neither"},
	} {
		if got := strings.Join(Warnings(tt.cert, tt.at, "do this"), "|"); !strings.Contains(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestFingerprint(t *testing.T) {
	// FIPS 180-2, appendix B.1.
	if got := Fingerprint([]byte("abc")); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Error(got)
	}
}
