package kms

import (
	"crypto"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// importLifetime is how long import parameters are good for.
const importLifetime = 24 * time.Hour

// importToken allows imports for one key.
type importToken struct {
	key     string
	expires time.Time
}

// ImportParameters returns what the console gives for an import of material by RSAES_OAEP_SHA_256_AES_256_ECB_PKCS7_PAD: the wrapping public key,
// an RSA_2048 key in PEM, and the import token. The key's origin must be EXTERNAL.
func (s *Service) ImportParameters(keyID string) (wrappingKeyPEM []byte, token string, err error) {
	wrapping, err := s.wrapping()
	if err != nil {
		return nil, "", fmt.Errorf("import parameters: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(wrapping.Public())
	if err != nil {
		return nil, "", fmt.Errorf("import parameters: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.byID(keyID); k == nil || k.Origin != originExternal {
		return nil, "", fmt.Errorf("import parameters: there is no key %s of origin EXTERNAL", keyID)
	}
	token = base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	s.tokens[token] = importToken{keyID, s.o.Now().Add(importLifetime)}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), token, nil
}

// ImportKeyMaterial gives a key that waits for it its material, in Base64: an AES-256 key, encrypted with the wrapping key by RSAES-OAEP (SHA-256
// for both hashes), and the private key in PKCS #8, encrypted with the AES key in ECB mode with PKCS #7 padding. Errors say which step failed.
func (s *Service) ImportKeyMaterial(keyID, material, token string) error {
	wrapping, err := s.wrapping()
	if err != nil {
		return fmt.Errorf("importing material: %w", err)
	}
	private, err := unwrap(wrapping, material)
	s.mu.Lock()
	defer s.mu.Unlock()
	k, t := s.byID(keyID), s.tokens[token]
	switch {
	case k == nil:
		return fmt.Errorf("importing material: there is no key %s", keyID)
	case k.state != PendingImport:
		return fmt.Errorf("importing material: the state of key %s is %s, not %s", keyID, k.state, PendingImport)
	case t.key != keyID:
		return fmt.Errorf("importing material: the import token is not one of key %s", keyID)
	case !s.o.Now().Before(t.expires):
		return fmt.Errorf("importing material: the import token has expired on %s", timestamp(t.expires))
	case err != nil:
		return fmt.Errorf("importing material: %w", err)
	}
	if err := specs[k.Spec].fits(private); err != nil {
		return fmt.Errorf("importing material: key %s is of spec %s: %w", keyID, k.Spec, err)
	}
	k.versions[0].material, k.state = private, Enabled
	return nil
}

// unwrap decrypts material.
func unwrap(wrapping *rsa.PrivateKey, material string) (crypto.Signer, error) {
	wrapped, err := base64.StdEncoding.DecodeString(material)
	if err != nil {
		return nil, fmt.Errorf("the material is not Base64 on one line: %w", err)
	}
	if len(wrapped) <= wrapping.Size() {
		return nil, fmt.Errorf("the material has %d bytes, and the encrypted AES key alone has %d", len(wrapped), wrapping.Size())
	}
	secret, err := rsa.DecryptOAEP(sha256.New(), nil, wrapping, wrapped[:wrapping.Size()], nil)
	if err != nil {
		return nil, fmt.Errorf("decrypting the AES key by RSAES-OAEP with SHA-256: %w", err)
	}
	if len(secret) != 32 {
		return nil, fmt.Errorf("the AES key has %d bytes, not 32", len(secret))
	}
	der, err := decryptECB(secret, wrapped[wrapping.Size():])
	if err != nil {
		return nil, fmt.Errorf("decrypting the private key by AES-256-ECB: %w", err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("reading the private key, which must be in PKCS #8: %w", err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the private key is a %T, which does not sign", parsed)
	}
	return private, nil
}

// decryptECB decrypts by AES in ECB mode and removes PKCS #7 padding (RFC 5652, section 6.3).
func decryptECB(secret, encrypted []byte) ([]byte, error) {
	if len(encrypted)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%d bytes are no whole number of blocks", len(encrypted))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(encrypted))
	for i := 0; i < len(plain); i += aes.BlockSize {
		block.Decrypt(plain[i:], encrypted[i:])
	}
	padding := int(plain[len(plain)-1])
	if padding == 0 || padding > aes.BlockSize {
		return nil, errors.New("the PKCS #7 padding is wrong")
	}
	for _, b := range plain[len(plain)-padding:] {
		if int(b) != padding {
			return nil, errors.New("the PKCS #7 padding is wrong")
		}
	}
	return plain[:len(plain)-padding], nil
}
