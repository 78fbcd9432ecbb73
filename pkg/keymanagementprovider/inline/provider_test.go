package inline

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue returns a certificate valid for a day from start, self-signed when a is nil.
func (a *authority) issue(t testing.TB, name string, isCA bool) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(0xabc), Subject: pkix.Name{CommonName: name},
		NotBefore: start, NotAfter: start.Add(24 * time.Hour), IsCA: isCA, BasicConstraintsValid: true,
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pem() string { return encode("CERTIFICATE", a.cert.Raw) }

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func encodeKey(t testing.TB, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("PUBLIC KEY", der)
}

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

func TestCertificates(t *testing.T) {
	var none *authority
	root := none.issue(t, "root", true)
	leaf := root.issue(t, "leaf", false)
	self := none.issue(t, "self", false)
	tests := []struct {
		name     string
		value    string
		now      time.Time
		want     int
		warnings []string
	}{
		{"one", root.pem(), start.Add(time.Hour), 1, nil},
		{"self-signed", self.pem(), start.Add(time.Hour), 1, nil},
		{"chain", leaf.pem() + "# issuer\n" + root.pem(), start.Add(time.Hour), 2, []string{"certificate 1 (CN=leaf) is neither"}},
		{"expired", root.pem(), start.Add(25 * time.Hour), 1, []string{"certificate 1 (CN=root) expired on 2026-03-02T12:00:00Z"}},
		{"not yet", root.pem() + self.pem(), start.Add(-time.Second), 2,
			[]string{"certificate 1 (CN=root) is not valid before 2026-03-01T12:00:00Z", "certificate 2 (CN=self) is not valid before"}},
		{"expired leaf", leaf.pem(), start.Add(25 * time.Hour), 1, []string{"certificate 1 (CN=leaf) expired", "certificate 1 (CN=leaf) is neither"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := New(config.KeyManagementProviderConfig{
				"type": "inline", "name": "x", "resource": "ns/x", "version": "1.0.0", "contentType": "certificate", "value": tt.value}, at(tt.now))
			if err != nil {
				t.Fatal(err)
			}
			certs, status, err := p.GetCertificates(t.Context())
			if err != nil || len(certs[keymanagementprovider.KMPMapKey{}]) != tt.want {
				t.Fatalf("GetCertificates() = %v, %v; want %d certificates under the empty key", certs, err, tt.want)
			}
			if got := status["certificates"].([]map[string]any); len(got) != tt.want {
				t.Errorf("%d certificates in the status, want %d", len(got), tt.want)
			}
			warnings, _ := status["warnings"].([]string)
			if len(warnings) != len(tt.warnings) {
				t.Fatalf("warnings %q, want %q", warnings, tt.warnings)
			}
			for i, want := range tt.warnings {
				if !strings.HasPrefix(warnings[i], want) {
					t.Errorf("warning %q, want %q", warnings[i], want)
				}
			}
			if keys, status, err := p.GetKeys(t.Context()); len(keys) != 0 || status != nil || err != nil {
				t.Errorf("GetKeys() = %v, %v, %v; want nothing", keys, status, err)
			}
			if p.IsRefreshable() {
				t.Error("IsRefreshable() = true")
			}
		})
	}
}

func TestCertificateStatus(t *testing.T) {
	var none *authority
	root := none.issue(t, "root", true)
	leaf := root.issue(t, "leaf", false)
	p, err := New(config.KeyManagementProviderConfig{"contentType": "certificate", "value": leaf.pem()}, at(start))
	if err != nil {
		t.Fatal(err)
	}
	_, status, _ := p.GetCertificates(t.Context())
	got, err := json.Marshal(status["certificates"])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(leaf.cert.Raw)
	want := `[{"fingerprint":"` + hex.EncodeToString(sum[:]) + `","isCA":false,"issuer":"CN=root","notAfter":"2026-03-02T12:00:00Z",` +
		`"notBefore":"2026-03-01T12:00:00Z","serial":"abc","subject":"CN=leaf"}]`
	if string(got) != want {
		t.Errorf("status\n%s\nwant\n%s", got, want)
	}
}

func TestKeys(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	value := encodeKey(t, ec.Public()) + "\n# second\n" + encodeKey(t, ed) + encode("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey))

	p, err := New(config.KeyManagementProviderConfig{"contentType": "key", "value": value}, at(start))
	if err != nil {
		t.Fatal(err)
	}
	keys, status, err := p.GetKeys(t.Context())
	if err != nil || len(keys) != 3 {
		t.Fatalf("GetKeys() = %v, %v; want three keys", keys, err)
	}
	described := status["keys"].([]map[string]any)
	for i, want := range []struct {
		kind string
		size int
		key  interface{ Equal(crypto.PublicKey) bool }
	}{{"ECDSA", 384, &ec.PublicKey}, {"Ed25519", 256, ed}, {"RSA", 2048, &rsaKey.PublicKey}} {
		got := described[i]
		if got["type"] != want.kind || got["size"] != want.size {
			t.Errorf("key %d is described as %v, want %v", i, got, want)
		}
		if key := keys[keymanagementprovider.KMPMapKey{Name: got["fingerprint"].(string)}]; key == nil || !want.key.Equal(key) {
			t.Errorf("key %d is not under its fingerprint", i)
		}
	}
	if certs, status, err := p.GetCertificates(t.Context()); len(certs) != 0 || status != nil || err != nil {
		t.Errorf("GetCertificates() = %v, %v, %v; want nothing", certs, status, err)
	}

	clear(keys) // it is the caller's
	if keys, _, _ := p.GetKeys(t.Context()); len(keys) != 3 {
		t.Error("a caller changed the provider's keys")
	}

	single, err := New(config.KeyManagementProviderConfig{"contentType": "key", "value": encodeKey(t, ed)}, at(start))
	if err != nil {
		t.Fatal(err)
	}
	if keys, _, _ := single.GetKeys(t.Context()); keys[keymanagementprovider.KMPMapKey{}] == nil {
		t.Errorf("a single key has a name: %v", keys)
	}
}

func TestNewRefuses(t *testing.T) {
	var none *authority
	root := none.issue(t, "root", true)
	private, err := x509.MarshalPKCS8PrivateKey(root.key)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cfg  config.KeyManagementProviderConfig
		want string
	}{
		{"nothing", nil, "contentType is missing"},
		{"no value", config.KeyManagementProviderConfig{"contentType": "certificate"}, "value is missing"},
		{"empty value", config.KeyManagementProviderConfig{"contentType": "certificate", "value": " \n"}, "value is empty"},
		{"wrong type", config.KeyManagementProviderConfig{"contentType": "certificate", "value": 7}, "value must be text, not int"},
		{"content type", config.KeyManagementProviderConfig{"contentType": "certificates", "value": root.pem()}, `contentType is "certificates"`},
		{"unknown", config.KeyManagementProviderConfig{"contentType": "key", "values": "x", "a": 1}, `unknown parameter "a"`},
		{"certificate as key", config.KeyManagementProviderConfig{"contentType": "key", "value": root.pem()}, "CERTIFICATE where a public key"},
		{"key as certificate", config.KeyManagementProviderConfig{"contentType": "certificate", "value": encodeKey(t, root.key.Public())}, "PUBLIC KEY where a certificate"},
		{"private key", config.KeyManagementProviderConfig{"contentType": "certificate", "value": root.pem() + encode("PRIVATE KEY", private)}, "PEM block 2"},
		{"no PEM", config.KeyManagementProviderConfig{"contentType": "certificate", "value": "hello"}, pemfile.ErrEmpty.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(tt.cfg, time.Now)
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("New() = %v, want ErrConfig with %q", err, tt.want)
			}
		})
	}
}
