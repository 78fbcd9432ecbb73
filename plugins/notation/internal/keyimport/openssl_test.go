package keyimport

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// openssl is a directory to run openssl in.
type openssl string

func newOpenSSL(t *testing.T) openssl {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed")
	}
	return openssl(t.TempDir())
}

// sh runs a line of the documentation.
func (o openssl) sh(t *testing.T, line string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", line)
	cmd.Dir = string(o)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

func (o openssl) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(string(o), name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (o openssl) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(string(o), name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// openssl unwraps what Wrap made.
func TestOpenSSLUnwraps(t *testing.T) {
	o := newOpenSSL(t)
	wrapping := rsaKey(t, "wrapping")
	o.write(t, "iwk.pem", block("PRIVATE KEY", pkcs8(t, wrapping)))
	for _, key := range []crypto.Signer{rsaKey(t, "tak"), ecKey(t, elliptic.P256())} {
		tak, err := ParsePrivateKey(pkcs8(t, key))
		if err != nil {
			t.Fatal(err)
		}
		material, err := tak.Wrap(&wrapping.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		o.write(t, "material.txt", material)
		o.sh(t, `openssl enc -d -base64 -A -in material.txt -out material.bin
			head -c 256 material.bin >esk.enc; tail -c +257 material.bin >tak.enc
			openssl pkeyutl -decrypt -inkey iwk.pem -in esk.enc -out esk -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256
			openssl enc -d -aes-256-ecb -K "$(od -An -v -tx1 esk | tr -d ' \n')" -in tak.enc -out tak.der`)
		if !bytes.Equal(o.read(t, "tak.der"), pkcs8(t, key)) {
			t.Errorf("%s: openssl finds another key", tak.Spec)
		}
	}
}

// The commands of Alibaba Cloud's documentation make the same from the same files, but for what is random.
func TestSameAsDocumentedCommands(t *testing.T) {
	o := newOpenSSL(t)
	wrapping := rsaKey(t, "wrapping")
	o.write(t, "PublicKey.pem", block("PUBLIC KEY", spki(t, wrapping.Public())))
	for form, create := range map[string]string{
		"RSA": "openssl genrsa -traditional -out tak.pem 2048",
		"EC":  "openssl ecparam -genkey -name prime256v1 -out tak.pem",
	} {
		o.sh(t, create+`
			openssl pkcs8 -topk8 -inform PEM -in tak.pem -outform der -nocrypt -out TakPrivPkcs8.bin
			openssl rand -out EskAes256.bin 32
			openssl pkeyutl -encrypt -pubin -inkey PublicKey.pem -in EskAes256.bin -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 \
				-pkeyopt rsa_mgf1_md:sha256 -out CipherEsk.bin
			openssl enc -aes-256-ecb -e -K "$(od -An -v -tx1 EskAes256.bin | tr -d ' \n')" -in TakPrivPkcs8.bin -nosalt -out CipherTakPriv.bin
			cat CipherEsk.bin CipherTakPriv.bin >EncryptedKeyMaterial.bin
			openssl enc -e -base64 -A -in EncryptedKeyMaterial.bin -out EncryptedKeyMaterial_base64.txt`)
		tak, err := ParsePrivateKey(o.read(t, "tak.pem"))
		if err != nil {
			t.Fatal(err)
		}
		material, err := tak.Wrap(&wrapping.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		theirs := o.read(t, "EncryptedKeyMaterial_base64.txt")
		if len(material) != len(theirs) {
			t.Errorf("%s: %d characters, openssl's have %d", form, len(material), len(theirs))
		}
		for whose, text := range map[string][]byte{"our": material, "openssl's": theirs} {
			if got, err := unwrap(text, wrapping); err != nil || !bytes.Equal(got, o.read(t, "TakPrivPkcs8.bin")) {
				t.Errorf("%s: %s material does not hold openssl's PKCS #8: %v", form, whose, err)
			}
		}
		raw, err := base64.StdEncoding.DecodeString(string(theirs))
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := encryptECB(o.read(t, "EskAes256.bin"), tak.pkcs8)
		if err != nil || !bytes.Equal(sealed, raw[256:]) {
			t.Errorf("%s: with openssl's ephemeral key the private key is encrypted to something else, %v", form, err)
		}
	}
}
