package commands

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/golden"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

// What the command writes, KMS takes; and with the key that KMS has then, a certificate can be made.
func TestKeyImport(t *testing.T) {
	w := newWorld(t, true)
	for spec, key := range map[string]crypto.Signer{"RSA_2048": rsaKey(t), "EC_P256": newEC(t)} {
		id := w.cloudKey(t, spec)
		public, token, err := w.cloud.KMS().ImportParameters(id)
		if err != nil {
			t.Fatal(err)
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		w.write(t, "publickey.pem", public)
		w.write(t, "tak.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
		w.refuse(t, "Rejected.PendingImport", "certificate", "create", "--id", id)
		w.succeed(t, "key", "import", "--private-key", "tak.pem", "--public-key", "publickey.pem", "--output", spec)
		if err := w.cloud.KMS().ImportKeyMaterial(id, string(w.read(t, spec)), token); err != nil {
			t.Fatalf("%s: KMS refuses the material: %v", spec, err)
		}
		w.succeed(t, "certificate", "create", "--id", id, "--output", spec+".crt")
		chain, err := certificate.Parse(w.read(t, spec+".crt"))
		if err != nil || !certificate.SameKey(chain.Leaf().PublicKey, key.Public()) {
			t.Errorf("%s: KMS signs with another key than the one imported, %v", spec, err)
		}
	}
}

// cloudKey adds a key that waits for its material.
func (w world) cloudKey(t *testing.T, spec string) string {
	t.Helper()
	id := "key-" + strings.ToLower(spec)
	w.addKey(t, kms.KeyOptions{ID: id, Spec: spec, Instance: instance, Origin: "EXTERNAL"})
	return id
}

func TestKeyImportFiles(t *testing.T) {
	o := newTerminal(t)
	tak, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(tak)
	if err != nil {
		t.Fatal(err)
	}
	wrapping, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(wrapping.Public())
	if err != nil {
		t.Fatal(err)
	}
	o.write(t, "tak.pem", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}))
	o.write(t, "publickey_key-hzz1.bin", public)
	o.write(t, "encrypted.pem", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	o.write(t, "long.pem", make([]byte, 65<<10))

	args := []string{"key", "import", "--private-key", "tak.pem", "--public-key", "publickey_key-hzz1.bin"}
	stdout, stderr, code := o.run(t, args...)
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	golden.Compare(t, "key_import", stdout)
	const made = "EncryptedKeyMaterial_base64.txt"
	first := o.read(t, made)
	info, err := os.Stat(filepath.Join(o.dir, made))
	if err != nil || info.Mode() != 0o600 || strings.ContainsAny(string(first), "\n ") {
		t.Errorf("%v, %v; want a file of mode 0600 with one line", info.Mode(), err)
	}
	if _, stderr, code := o.run(t, append(args, "--force")...); code != 0 || string(o.read(t, made)) == string(first) {
		t.Errorf("--force: exit code %d, %s", code, stderr)
	}

	for want, args := range map[string][]string{
		made + " exists":                        args,
		`required flag(s) "public-key" not set`: args[:4],
		"--private-key encrypted.pem: the private key is encrypted with a passphrase": {"key", "import", "--private-key", "encrypted.pem", "--public-key", "publickey_key-hzz1.bin", "--output", "x"},
		"--private-key: open gone.pem: no such file":                                  {"key", "import", "--private-key", "gone.pem", "--public-key", "publickey_key-hzz1.bin", "--output", "x"},
		"--private-key: long.pem is longer than":                                      {"key", "import", "--private-key", "long.pem", "--public-key", "publickey_key-hzz1.bin", "--output", "x"},
		`--public-key tak.pem: a block of kind "EC PRIVATE KEY" where`:                {"key", "import", "--private-key", "tak.pem", "--public-key", "tak.pem", "--output", "x"},
		"no such file or directory":                                                   append(args, "--output", "gone/x"),
	} {
		if _, stderr, code := o.run(t, args...); code != 1 || !strings.HasPrefix(stderr, "Error: ") || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit code %d, %s; want %q", args, code, stderr, want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(o.dir, "[x.]*")); err != nil || len(left) > 0 {
		t.Errorf("a command that failed left %v, %v", left, err)
	}
}
