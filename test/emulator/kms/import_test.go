package kms_test

import (
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"hash"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

// service returns a service with a key that waits for its material, and import parameters for it.
func service(t *testing.T, spec string) (s *kms.Service, clock *testclock.Clock, id string, wrapping []byte, token string) {
	t.Helper()
	clock = testclock.At(time.Now())
	s = kms.New(kms.Options{Now: clock.Now, Region: "cn-hangzhou"})
	id, err := s.AddKey(kms.KeyOptions{Spec: spec, Origin: "EXTERNAL"})
	if err != nil {
		t.Fatal(err)
	}
	wrapping, token, err = s.ImportParameters(id)
	if err != nil {
		t.Fatal(err)
	}
	return s, clock, id, wrapping, token
}

// encryptECB encrypts by AES in ECB mode, without padding.
func encryptECB(t *testing.T, secret, plain []byte) []byte {
	t.Helper()
	block, err := aes.NewCipher(secret)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := make([]byte, len(plain))
	for i := 0; i < len(plain); i += aes.BlockSize {
		block.Encrypt(encrypted[i:], plain[i:])
	}
	return encrypted
}

// pad adds PKCS #7 padding.
func pad(plain []byte) []byte {
	n := aes.BlockSize - len(plain)%aes.BlockSize
	return append(plain[:len(plain):len(plain)], []byte(strings.Repeat(string(rune(n)), n))...)
}

func TestImport(t *testing.T) {
	s, clock, id, wrapping, token := service(t, "EC_P256")
	block, _ := pem.Decode(wrapping)
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.AddKey(kms.KeyOptions{Spec: "EC_P256", Origin: "EXTERNAL"})
	if err != nil {
		t.Fatal(err)
	}
	_, otherToken, err := s.ImportParameters(other)
	if err != nil {
		t.Fatal(err)
	}
	oaep := func(secret []byte, h hash.Hash) []byte {
		encrypted, err := rsa.EncryptOAEP(h, rand.Reader, public.(*rsa.PublicKey), secret, nil)
		if err != nil {
			t.Fatal(err)
		}
		return encrypted
	}
	pkcs8 := func(private any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	material := func(parts ...[]byte) string {
		var all []byte
		for _, part := range parts {
			all = append(all, part...)
		}
		return base64.StdEncoding.EncodeToString(all)
	}
	key, der := oaep(secret, sha256.New()), pkcs8(p256)
	right := material(key, encryptECB(t, secret, pad(der)))
	for _, test := range []struct{ name, key, material, token, says string }{
		{"unknown key", "key-hzzunknown", right, token, "there is no key"},
		{"no token", id, right, "", "import token is not one of"},
		{"another key's token", id, right, otherToken, "import token is not one of"},
		{"not Base64", id, right[1:], token, "not Base64"},
		{"empty", id, "", token, "0 bytes"},
		{"no private key", id, material(key), token, "256 bytes"},
		{"OAEP with SHA-1", id, material(oaep(secret, sha1.New()), encryptECB(t, secret, pad(der))), token, "RSAES-OAEP"},
		{"AES-128", id, material(oaep(secret[:16], sha256.New()), encryptECB(t, secret[:16], pad(der))), token, "16 bytes, not 32"},
		{"half a block", id, material(key, encryptECB(t, secret, pad(der))[:20]), token, "whole number of blocks"},
		{"another AES key", id, material(oaep(make([]byte, 32), sha256.New()), encryptECB(t, secret, pad(der))), token, "the private key"},
		{"no padding", id, material(key, encryptECB(t, secret, make([]byte, 32))), token, "padding"},
		{"SEC 1", id, material(key, encryptECB(t, secret, pad(sec1))), token, "PKCS #8"},
		{"another spec", id, material(key, encryptECB(t, secret, pad(pkcs8(p384)))), token, "P-384"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := s.ImportKeyMaterial(test.key, test.material, test.token); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one that says %q", err, test.says)
			}
		})
	}
	if got := s.PublicKey(id, ""); got != nil {
		t.Errorf("refused material became %v", got)
	}
	clock.Advance(24 * time.Hour)
	if err := s.ImportKeyMaterial(id, right, token); err == nil || !strings.Contains(err.Error(), "expired") {
		t.Errorf("an old token: error %v", err)
	}
	clock.Advance(-time.Second)
	if err := s.ImportKeyMaterial(id, right, token); err != nil {
		t.Fatal(err)
	}
	if !p256.PublicKey.Equal(s.PublicKey(id, "")) {
		t.Error("the key has other material")
	}
	if err := s.ImportKeyMaterial(id, right, token); err == nil || !strings.Contains(err.Error(), "Enabled") {
		t.Errorf("a second import: error %v", err)
	}
	ours, err := s.AddKey(kms.KeyOptions{Spec: "EC_P256"})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.ImportParameters(ours); err == nil {
		t.Error("import parameters for a key of KMS's own")
	}
	if _, err := s.AddKeyVersion(id); err == nil {
		t.Error("a second version of an imported key")
	}
}

// TestImportOfOpenSSL imports what the commands of Alibaba Cloud's page "Use Notation and Ratify for OCI artifact signing" make.
func TestImportOfOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl on this machine")
	}
	s, _, id, wrapping, token := service(t, "RSA_2048")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "PublicKey.pem"), wrapping, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	if err := os.WriteFile(filepath.Join(dir, "EskAes256.bin"), secret, 0o600); err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	for _, command := range []string{
		"genrsa -out TakPrivPkcs1.pem 2048",
		"pkcs8 -topk8 -inform PEM -in TakPrivPkcs1.pem -outform der -nocrypt -out TakPrivPkcs8.bin",
		"pkeyutl -encrypt -pubin -inkey PublicKey.pem -in EskAes256.bin -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 " +
			"-pkeyopt rsa_mgf1_md:sha256 -out CipherEsk.bin",
		"enc -aes-256-ecb -e -K " + hex.EncodeToString(secret) + " -in TakPrivPkcs8.bin -nosalt -out CipherTakPriv.bin",
	} {
		openssl := exec.CommandContext(t.Context(), "openssl", strings.Fields(command)...)
		openssl.Dir = dir
		if output, err := openssl.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v: %s", command, err, output)
		}
	}
	material := base64.StdEncoding.EncodeToString(append(read("CipherEsk.bin"), read("CipherTakPriv.bin")...))
	if err := s.ImportKeyMaterial(id, material, token); err != nil {
		t.Fatal(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(read("TakPrivPkcs8.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if !private.(*rsa.PrivateKey).PublicKey.Equal(s.PublicKey(id, "")) {
		t.Error("the key has other material")
	}
}
