package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func TestEncodeThenParse(t *testing.T) {
	a := newAuthority()
	for _, origin := range []Origin{{}, {Key: "key-hzz1"}, {Key: "key-hzz1", Alias: "alias/a b", Version: "v-1"}} {
		chain := Chain{a.signer.Chain, origin}
		got, err := Parse(chain.Encode())
		if err != nil || !reflect.DeepEqual(got, chain) {
			t.Errorf("%+v: %+v, %v", origin, got.Origin, err)
		}
	}
	if text := string(Chain{a.signer.Chain, Origin{Key: "key\n-----BEGIN CERTIFICATE-----"}}.Encode()); !strings.HasPrefix(text, "KMS key: key -----BEGIN") {
		t.Errorf("an ID breaks the file: %.80q", text)
	}
}

func TestParseRefuses(t *testing.T) {
	cert := Chain{Certificates: newAuthority().root.Chain}.Encode()
	var many []byte
	for range maxCertificates + 1 {
		many = append(many, Chain{Certificates: must(signing.New("x", signing.Options{Signer: sharedKey})).Chain}.Encode()...)
	}
	for name, tt := range map[string]struct{ content, want string }{
		"nothing":       {"", "neither certificates in PEM nor in DER"},
		"garbage":       {"hello", "neither"},
		"half a file":   {string(cert[:len(cert)-30]), "PEM block 1"},
		"a private key": {"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key"},
		"many":          {string(many), "51 certificates"},
	} {
		if chain, err := Parse([]byte(tt.content)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %d certificates, %v; want %q", name, len(chain.Certificates), err, tt.want)
		}
	}
	if chain, err := Parse(newAuthority().root.Chain[0].Raw); err != nil || len(chain.Certificates) != 1 {
		t.Errorf("DER: %v", err)
	}
}

var sharedKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.pem")
	if _, err := Read(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("absent: %v", err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("garbage: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	a := newAuthority()
	f.Add(Chain{a.signer.Chain, Origin{"key-hzz1", "alias/a", "v"}}.Encode())
	f.Add(a.signer.Chain[0].Raw)
	f.Add([]byte("KMS key: \r\nKMS key version:\n-----BEGIN CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		chain, err := Parse(content)
		if err != nil {
			return
		}
		again, err := Parse(chain.Encode())
		if err != nil || again.Origin != chain.Origin || len(again.Certificates) != len(chain.Certificates) {
			t.Errorf("%+v became %+v, %v", chain.Origin, again.Origin, err)
		}
		if ordered, err := Order(chain.Certificates, nil, time.Unix(1e9, 0)); err == nil && len(ordered) == 0 {
			t.Error("an empty chain")
		}
	})
}
