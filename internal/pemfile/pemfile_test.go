package pemfile

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newCertificate returns a self-signed certificate as PEM, and its key.
func newCertificate(t testing.TB, name string) (string, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", der), key
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func encodeKey(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("PUBLIC KEY", der)
}

func indent(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n\t ") }

func TestCertificatesTolerates(t *testing.T) {
	a, _ := newCertificate(t, "a")
	b, _ := newCertificate(t, "b")
	tests := []struct {
		name string
		text string
		want int
	}{
		{"one", a, 1},
		{"bundle", a + b, 2},
		{"no newline at the end", strings.TrimSpace(a), 1},
		{"many newlines at the end", a + "\n\n \n", 1},
		{"a comment behind", a + "# root of the build system\n", 1},
		{"comments around", "subject=CN = a\n# first\n" + a + "\nsecond:\n" + b + "----\n", 2},
		{"a block commented out", "# " + strings.ReplaceAll(b, "\n", "\n# ") + "\n" + a, 1},
		{"CRLF", strings.ReplaceAll(a+b, "\n", "\r\n"), 2},
		{"CR only", strings.ReplaceAll(a+b, "\n", "\r"), 2},
		{"indented", indent(a + b), 2},
		{"blank lines inside", strings.Replace(a, "-----\n", "-----\n\n", 1), 1},
		{"byte order mark", "\ufeff" + a, 1},
		{"repeated", a + b + a, 2},
		{"old name of the block", strings.ReplaceAll(a, "CERTIFICATE", "X509 CERTIFICATE"), 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			certs, err := Certificates([]byte(tt.text))
			if err != nil || len(certs) != tt.want {
				t.Fatalf("Certificates() = %d certificates, %v; want %d", len(certs), err, tt.want)
			}
			if got := certs[0].Subject.CommonName; got != "a" {
				t.Errorf("the first certificate is %q, want a", got)
			}
		})
	}
}

func TestCertificatesRefuses(t *testing.T) {
	a, key := newCertificate(t, "a")
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(a, "\n")
	tests := []struct {
		name        string
		text        string
		block, line int
		want        string
	}{
		{"private key", a + "\n" + encode("PRIVATE KEY", private), 2, lines + 2, "a private key"},
		{"EC private key", encode("EC PRIVATE KEY", private), 1, 1, "a private key"},
		{"encrypted private key", encode("ENCRYPTED PRIVATE KEY", private), 1, 1, "a private key"},
		{"request", a + encode("CERTIFICATE REQUEST", request), 2, lines + 1, "certificate signing request"},
		{"old request", encode("NEW CERTIFICATE REQUEST", request), 1, 1, "certificate signing request"},
		{"public key", encodeKey(t, key.Public()), 1, 1, "PUBLIC KEY where a certificate is wanted"},
		{"other", encode("DH PARAMETERS", []byte{1}), 1, 1, "DH PARAMETERS"},
		{"not a certificate", encode("CERTIFICATE", []byte{0x30, 0}), 1, 1, "not a valid X.509 certificate"},
		{"empty block", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", 1, 1, "not a valid X.509 certificate"},
		{"two certificates in one block", encode("CERTIFICATE", bytes.Repeat(decode(t, a), 2)), 1, 1, "not a valid X.509 certificate"},
		{"truncated", a[:len(a)/2], 1, 1, "no END CERTIFICATE line"},
		{"next begins too early", a + a[:len(a)/2] + "\n" + a, 2, lines + 1, "no END line before"},
		{"stray END", "x\n-----END CERTIFICATE-----\n" + a, 1, 2, "without its BEGIN"},
		{"other END", strings.Replace(a, "END CERTIFICATE", "END KEY", 1), 1, 1, "is not ended by"},
		{"damaged base64", strings.Replace(a, "\n", "\n!", 1), 1, 1, "not base64"},
		{"comment inside", strings.Replace(a, "\n", "\n# here\n", 1), 1, 1, "not base64"},
		{"line breaks lost", strings.ReplaceAll(a, "\n", " "), 1, 1, "line breaks"},
		{"line breaks escaped", "x " + strings.ReplaceAll(a, "\n", `\n`), 1, 1, "line breaks"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			certs, err := Certificates([]byte(tt.text))
			var block *BlockError
			if !errors.As(err, &block) {
				t.Fatalf("Certificates() = %d certificates, %v; want a BlockError", len(certs), err)
			}
			if block.Block != tt.block || block.Line != tt.line || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q; want block %d, line %d, %q", err, tt.block, tt.line, tt.want)
			}
		})
	}
}

func decode(t *testing.T, text string) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	return block.Bytes
}

func TestLimits(t *testing.T) {
	a, _ := newCertificate(t, "a")
	for name, text := range map[string]string{
		"bytes":  a + strings.Repeat("#\n", MaxBytes/2),
		"blocks": strings.Repeat("-----BEGIN CERTIFICATE-----\n"+decodeBody(a)+"-----END CERTIFICATE-----\n", MaxBlocks+1),
	} {
		if certs, err := Certificates([]byte(text)); err == nil || !strings.Contains(err.Error(), "than") {
			t.Errorf("%s: %d certificates, %v; want an error about the limit", name, len(certs), err)
		}
	}
	for _, text := range []string{"", " \n", "not PEM at all", "-----"} {
		if _, err := Certificates([]byte(text)); !errors.Is(err, ErrEmpty) {
			t.Errorf("Certificates(%q) = %v, want ErrEmpty", text, err)
		}
	}
}

// decodeBody returns what stands between the BEGIN and the END line.
func decodeBody(text string) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[1:len(lines)-2], "")
}

func TestPublicKeys(t *testing.T) {
	_, ec := newCertificate(t, "a")
	cert, _ := newCertificate(t, "b")
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := encode("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey.PublicKey))
	tests := []struct {
		name, text string
		want       int
		err        string
	}{
		{"ecdsa", encodeKey(t, ec.Public()), 1, ""},
		{"all kinds", encodeKey(t, ec.Public()) + indent(encodeKey(t, ed)) + "\n" + pkcs1, 3, ""},
		{"the same twice, in two encodings", pkcs1 + encodeKey(t, rsaKey.Public()), 1, ""},
		{"certificate", cert, 0, "CERTIFICATE where a public key is wanted"},
		{"private key", encode("RSA PRIVATE KEY", []byte{1}), 0, "a private key"},
		{"key agreement", encodeKey(t, agreement.Public()), 0, "cannot verify"},
		{"damaged", encode("PUBLIC KEY", []byte{1}), 0, "not a valid public key"},
		{"damaged RSA", encode("RSA PUBLIC KEY", []byte{1}), 0, "not a valid RSA public key"},
		{"empty", "", 0, ErrEmpty.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keys, err := PublicKeys([]byte(tt.text))
			if len(keys) != tt.want {
				t.Errorf("%d keys, want %d", len(keys), tt.want)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func TestReadCertificates(t *testing.T) {
	dir := t.TempDir()
	a, _ := newCertificate(t, "a")
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, data := range map[string][]byte{"pem": []byte(a), "der": decode(t, a), "ders": bytes.Repeat(decode(t, a), 2)} {
		if certs, err := ReadCertificates(write(name, data)); err != nil || len(certs) != 1 {
			t.Errorf("%s: %d certificates, %v", name, len(certs), err)
		}
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		write("text", []byte("hello")):          "neither PEM nor DER",
		write("nothing", nil):                   "neither PEM nor DER",
		write("long", make([]byte, MaxBytes+1)): "larger than",
		write("broken", []byte(a[:100])):        "PEM block 1",
		filepath.Join(dir, "missing"):           "no such file",
		dir:                                     "not a regular file",
		pipe:                                    "not a regular file",
		write("longer", make([]byte, 3*MaxBytes)): "larger than",
	} {
		certs, err := ReadCertificates(path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("ReadCertificates(%s) = %d certificates, %v; want %q", path, len(certs), err, want)
		}
	}
}

// FuzzPEM checks that no text makes the reader panic, and that what it accepts is what a plain PEM encoder makes of it.
func FuzzPEM(f *testing.F) {
	a, key := newCertificate(f, "a")
	for _, seed := range []string{a, indent(a), a + a, encodeKey(f, key.Public()), "-----BEGIN -----\n-----END -----", "-----BEGIN CERTIFICATE-----\na: b\n\n", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if certs, err := Certificates(text); err == nil {
			var again bytes.Buffer
			for _, c := range certs {
				again.WriteString(encode("CERTIFICATE", c.Raw))
			}
			if reread, err := Certificates(again.Bytes()); err != nil || len(reread) != len(certs) || len(certs) == 0 {
				t.Errorf("%d certificates, but %d, %v after encoding them again", len(certs), len(reread), err)
			}
		}
		if keys, err := PublicKeys(text); err == nil && len(keys) == 0 {
			t.Error("no keys and no error")
		}
	})
}
