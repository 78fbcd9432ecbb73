package keyimport

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// wrappingBits is the size of the wrapping keys that KMS gives for software-protected keys (public key type RSA_2048).
const wrappingBits = 2048

// ParseWrappingKey reads the wrapping public key of an import, IWK, as the console gives it: PEM (publickey_….pem) or DER (publickey_….bin).
func ParseWrappingKey(data []byte) (*rsa.PublicKey, error) {
	der := data
	if bytes.Contains(data, []byte("-----BEGIN")) {
		block, _ := pem.Decode(data)
		switch {
		case block == nil:
			return nil, errors.New("the PEM block cannot be read; download the public key again")
		case block.Type != "PUBLIC KEY":
			return nil, fmt.Errorf("a block of kind %q where the public key that the console gave for the import is wanted", block.Type)
		}
		der = block.Bytes
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("not a public key in PEM or DER: %w", err)
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok || key.N.BitLen() != wrappingBits {
		return nil, errors.New("not an RSA key of 2048 bits; in the console, choose public key type RSA_2048 and " +
			"encryption algorithm RSAES_OAEP_SHA_256_AES_256_ECB_PKCS7_PAD")
	}
	return key, nil
}

// Wrap returns the encrypted key material in base64, on one line, as KMS's ImportKeyMaterial takes it. Each call uses an ephemeral key of its own.
func (k *PrivateKey) Wrap(wrapping *rsa.PublicKey) ([]byte, error) {
	if wrapping.Equal(k.Public) {
		return nil, errors.New("the wrapping key is the public half of the private key itself; give the public key that the console gave for the import")
	}
	ephemeral := make([]byte, 32) // AES-256
	defer clear(ephemeral)
	rand.Read(ephemeral)
	material, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, wrapping, ephemeral, nil)
	if err != nil {
		return nil, fmt.Errorf("encrypting the ephemeral key: %w", err)
	}
	sealed, err := encryptECB(ephemeral, k.pkcs8)
	if err != nil {
		return nil, fmt.Errorf("encrypting the private key: %w", err)
	}
	material = append(material, sealed...)
	return base64.StdEncoding.AppendEncode(nil, material), nil
}

// encryptECB encrypts with AES, block by block, after padding as of PKCS #7. Go has no such mode, as it shows which blocks of a text are equal.
// Here KMS demands it, and the text is a private key: none of its blocks are equal, and no other text is ever encrypted with the same key.
func encryptECB(key, text []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	padding := aes.BlockSize - len(text)%aes.BlockSize
	sealed := make([]byte, len(text)+padding)
	for i := copy(sealed, text); i < len(sealed); i++ {
		sealed[i] = byte(padding)
	}
	for at := 0; at < len(sealed); at += aes.BlockSize {
		block.Encrypt(sealed[at:], sealed[at:])
	}
	return sealed, nil
}
