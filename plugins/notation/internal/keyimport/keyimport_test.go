package keyimport

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
)

// rsaKey returns a key of 2048 bits for each name, made once: that is slow.
func rsaKey(t testing.TB, name string) *rsa.PrivateKey {
	t.Helper()
	made, _ := rsaKeys.LoadOrStore(name, sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }))
	key, err := made.(func() (*rsa.PrivateKey, error))()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var rsaKeys sync.Map

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func sec1(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func spki(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestParsePrivateKey(t *testing.T) {
	r, ec := rsaKey(t, "tak"), ecKey(t, elliptic.P256())
	parameters := block("EC PARAMETERS", []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7})
	for name, tt := range map[string]struct {
		data []byte
		key  crypto.Signer
	}{
		"PKCS #1 PEM":           {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r)), r},
		"PKCS #1 DER":           {x509.MarshalPKCS1PrivateKey(r), r},
		"PKCS #8 PEM":           {block("PRIVATE KEY", pkcs8(t, r)), r},
		"PKCS #8 DER":           {pkcs8(t, r), r},
		"SEC 1 PEM":             {block("EC PRIVATE KEY", sec1(t, ec)), ec},
		"SEC 1 DER":             {sec1(t, ec), ec},
		"EC PKCS #8 PEM":        {block("PRIVATE KEY", pkcs8(t, ec)), ec},
		"EC PKCS #8 DER":        {pkcs8(t, ec), ec},
		"parameters before it":  {append(parameters, block("EC PRIVATE KEY", sec1(t, ec))...), ec},
		"text around":           {[]byte("Bag Attributes\n" + string(block("PRIVATE KEY", pkcs8(t, ec))) + "\n# end\n"), ec},
		"a public key after it": {append(block("PRIVATE KEY", pkcs8(t, ec)), block("PUBLIC KEY", spki(t, ec.Public()))...), ec},
	} {
		t.Run(name, func(t *testing.T) {
			key, err := ParsePrivateKey(tt.data)
			if err != nil {
				t.Fatal(err)
			}
			want := map[bool]kms.KeySpec{true: kms.RSA2048, false: kms.ECP256}[tt.key == crypto.Signer(r)]
			if key.Spec != want || !bytes.Equal(key.pkcs8, pkcs8(t, tt.key)) {
				t.Errorf("spec %s, want %s; or not PKCS #8 of the key", key.Spec, want)
			}
			if !key.Public.(interface{ Equal(crypto.PublicKey) bool }).Equal(tt.key.Public()) {
				t.Error("not the public half")
			}
			if key.Destroy(); !bytes.Equal(key.pkcs8, make([]byte, len(key.pkcs8))) {
				t.Error("the key is still there after Destroy")
			}
		})
	}
}

func TestParsePrivateKeyRefuses(t *testing.T) {
	ec := ecKey(t, elliptic.P256())
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 it is to be refused
	threePrimes, err := rsa.GenerateMultiPrimeKey(rand.Reader, 3, 2048)
	if err != nil {
		t.Fatal(err)
	}
	plain := block("EC PRIVATE KEY", sec1(t, ec))
	// EncryptedPrivateKeyInfo: SEQUENCE { SEQUENCE { OID pbes2 }, OCTET STRING }
	encrypted := []byte{0x30, 0x11, 0x30, 0x0b, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 0x0d, 4, 2, 1, 2}
	for name, tt := range map[string]struct {
		data []byte
		is   error
		want string
	}{
		"RSA 3072":              {x509.MarshalPKCS1PrivateKey(long), kms.ErrKeySpec, "use a key of spec RSA_2048 or EC_P256"},
		"RSA of three primes":   {pkcs8(t, threePrimes), kms.ErrKeySpec, "3 primes cannot be imported"},
		"P-384":                 {pkcs8(t, ecKey(t, elliptic.P384())), kms.ErrKeySpec, "curve P-384 cannot be imported"},
		"Ed25519":               {pkcs8(t, ed), kms.ErrKeySpec, "ed25519"},
		"encrypted PKCS #8":     {block("ENCRYPTED PRIVATE KEY", encrypted), ErrEncrypted, "openssl pkey -in"},
		"encrypted PKCS #8 DER": {encrypted, ErrEncrypted, "openssl pkey -inform DER"},
		"encrypted traditional": {bytes.Replace(plain, []byte("-----\n"), []byte("-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"), 1),
			ErrEncrypted, "openssl pkey -in"},
		"public key":  {block("PUBLIC KEY", spki(t, ec.Public())), nil, `a block of kind "PUBLIC KEY" and no private key`},
		"two keys":    {append(bytes.Clone(plain), plain...), nil, "more than one private key"},
		"cut":         {plain[:60], nil, "has it been cut"},
		"damaged":     {block("PRIVATE KEY", []byte{1, 2, 3}), nil, "not a private key"},
		"not a key":   {[]byte("hello"), nil, "not a private key"},
		"nothing":     {nil, nil, "not a private key"},
		"public, DER": {spki(t, ec.Public()), nil, "not a private key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePrivateKey(tt.data)
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v; want %q in it, and to be %v", err, tt.want, tt.is)
			}
		})
	}
}

func TestParseWrappingKey(t *testing.T) {
	key := rsaKey(t, "wrapping")
	der := spki(t, key.Public())
	for _, data := range [][]byte{der, block("PUBLIC KEY", der)} {
		if got, err := ParseWrappingKey(data); err != nil || !got.Equal(key.Public()) {
			t.Errorf("got %v, %v", got, err)
		}
	}
	for want, data := range map[string][]byte{
		"choose public key type RSA_2048":     spki(t, ecKey(t, elliptic.P256()).Public()),
		`a block of kind "PRIVATE KEY" where`: block("PRIVATE KEY", pkcs8(t, key)),
		"download the public key again":       block("PUBLIC KEY", der)[:100],
		"not a public key":                    []byte("MIIB"),
	} {
		if _, err := ParseWrappingKey(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

// unwrap does what KMS does.
func unwrap(material []byte, wrapping *rsa.PrivateKey) ([]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(string(material))
	if err != nil {
		return nil, err
	}
	ephemeral, err := rsa.DecryptOAEP(sha256.New(), nil, wrapping, raw[:256], nil)
	if err != nil {
		return nil, err
	}
	cipher, err := aes.NewCipher(ephemeral)
	if err != nil {
		return nil, err
	}
	sealed := raw[256:]
	for at := 0; at < len(sealed); at += aes.BlockSize {
		cipher.Decrypt(sealed[at:], sealed[at:])
	}
	padding := int(sealed[len(sealed)-1])
	if len(ephemeral) != 32 || padding < 1 || padding > aes.BlockSize || !bytes.HasSuffix(sealed, bytes.Repeat([]byte{byte(padding)}, padding)) {
		return nil, fmt.Errorf("an ephemeral key of %d bytes, padding of %d", len(ephemeral), padding)
	}
	return sealed[:len(sealed)-padding], nil
}

func TestWrap(t *testing.T) {
	wrapping := rsaKey(t, "wrapping")
	for _, key := range []crypto.Signer{rsaKey(t, "tak"), ecKey(t, elliptic.P256())} {
		tak, err := ParsePrivateKey(pkcs8(t, key))
		if err != nil {
			t.Fatal(err)
		}
		var materials [2][]byte
		for i := range materials {
			if materials[i], err = tak.Wrap(&wrapping.PublicKey); err != nil {
				t.Fatal(err)
			}
			if got, err := unwrap(materials[i], wrapping); err != nil || !bytes.Equal(got, pkcs8(t, key)) {
				t.Errorf("%s: not the key in PKCS #8, %v", tak.Spec, err)
			}
		}
		if bytes.Equal(materials[0][500:], materials[1][500:]) {
			t.Errorf("%s: two imports with the same ephemeral key", tak.Spec)
		}
	}
	own, err := ParsePrivateKey(pkcs8(t, wrapping))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := own.Wrap(&wrapping.PublicKey); err == nil || !strings.Contains(err.Error(), "public half of the private key itself") {
		t.Errorf("wrapped for its own public half: %v", err)
	}
}

// What is padded has a whole block of padding if it ends with a block (RFC 5652, section 6.3).
func TestEncryptECBPads(t *testing.T) {
	for length, want := range map[int]int{0: 16, 1: 16, 15: 16, 16: 32, 17: 32} {
		got, err := encryptECB(make([]byte, 32), make([]byte, length))
		if err != nil || len(got) != want {
			t.Errorf("%d bytes become %d, %v; want %d", length, len(got), err, want)
		}
	}
}

func FuzzParsePrivateKey(f *testing.F) {
	ec := ecKey(f, elliptic.P256())
	f.Add(block("EC PRIVATE KEY", sec1(f, ec)))
	f.Add(pkcs8(f, ec))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParsePrivateKey(data)
		if err != nil {
			return
		}
		if again, err := ParsePrivateKey(key.pkcs8); err != nil || !bytes.Equal(again.pkcs8, key.pkcs8) {
			t.Errorf("what was read cannot be read again: %v", err)
		}
	})
}

func FuzzParseWrappingKey(f *testing.F) {
	f.Add(block("PUBLIC KEY", spki(f, ecKey(f, elliptic.P256()).Public())))
	f.Fuzz(func(t *testing.T, data []byte) {
		if key, err := ParseWrappingKey(data); err == nil && key.N.BitLen() != wrappingBits {
			t.Errorf("accepted a key of %d bits", key.N.BitLen())
		}
	})
}
