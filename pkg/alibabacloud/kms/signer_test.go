package kms

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
)

// fake is a Client whose answers a test makes up.
type fake struct {
	Client
	key  PublicKey
	sign func(Algorithm, [32]byte) ([]byte, error)
}

func (f *fake) PublicKey(context.Context, string, string) (PublicKey, error) { return f.key, nil }
func (f *fake) String() string                                               { return "KMS at fake" }
func (f *fake) Sign(ctx context.Context, keyID, version string, a Algorithm, digest [32]byte) (Signature, error) {
	if ctx.Err() != nil {
		return Signature{}, ctx.Err()
	}
	value, err := f.sign(a, digest)
	return Signature{KeyID: keyID, Version: version, Value: value}, err
}

func TestSignerRefuses(t *testing.T) {
	digest := make([]byte, sha256.Size)
	never := func(Algorithm, [32]byte) ([]byte, error) { t.Error("KMS was asked"); return nil, nil }
	for name, tc := range map[string]struct {
		key    crypto.Signer
		digest []byte
		opts   crypto.SignerOpts
		want   string
	}{
		"no options":       {rsaKey(), digest, nil, "SHA-256 only"},
		"SHA-384":          {rsaKey(), make([]byte, 48), crypto.SHA384, "SHA-256 only"},
		"no hash":          {rsaKey(), digest, crypto.Hash(0), "SHA-256 only"},
		"PSS over SHA-512": {rsaKey(), digest, &rsa.PSSOptions{Hash: crypto.SHA512}, "SHA-256 only"},
		"a short digest":   {rsaKey(), digest[1:], crypto.SHA256, "31 bytes"},
		"no digest":        {rsaKey(), nil, crypto.SHA256, "0 bytes"},
		"a longer salt":    {rsaKey(), digest, &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 222}, "salt of 222 bytes"},
		"PSS with EC":      {ecKey(), digest, &rsa.PSSOptions{Hash: crypto.SHA256}, "PSS is for RSA keys"},
	} {
		signer := must(NewSigner(t.Context(), &fake{key: PublicKey{Key: tc.key.Public()}, sign: never}, "key-1", ""))
		if _, err := signer.Sign(rand.Reader, tc.digest, tc.opts); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "key-1") {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestWithin(t *testing.T) {
	sign := func(_ Algorithm, digest [32]byte) ([]byte, error) {
		return ecKey().Sign(rand.Reader, digest[:], crypto.SHA256)
	}
	signer := must(NewSigner(t.Context(), &fake{key: PublicKey{Key: ecKey().Public()}, sign: sign}, "key-1", ""))
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := signer.Within(ctx).Sign(nil, make([]byte, sha256.Size), crypto.SHA256); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := signer.Within(ctx).Sign(nil, make([]byte, sha256.Size), crypto.SHA256); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// What KMS, or who is on the way to it, answers is a signature by this key, or an error.
func TestSignerChecksSignatures(t *testing.T) {
	otherRSA, otherEC := must(rsa.GenerateKey(rand.Reader, 2048)), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	digest := sha256.Sum256([]byte("payload"))
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	for name, tc := range map[string]struct {
		key   crypto.Signer
		opts  crypto.SignerOpts
		value []byte
	}{
		"another RSA key":   {rsaKey(), pss, must(otherRSA.Sign(rand.Reader, digest[:], pss))},
		"another EC key":    {ecKey(), crypto.SHA256, must(otherEC.Sign(rand.Reader, digest[:], crypto.SHA256))},
		"another padding":   {rsaKey(), pss, must(rsaKey().Sign(rand.Reader, digest[:], crypto.SHA256))},
		"another salt":      {rsaKey(), pss, must(rsaKey().Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256}))},
		"PSS where PKCS #1": {rsaKey(), crypto.SHA256, must(rsaKey().Sign(rand.Reader, digest[:], pss))},
		"another digest":    {ecKey(), crypto.SHA256, must(ecKey().Sign(rand.Reader, make([]byte, 32), crypto.SHA256))},
		"nothing":           {rsaKey(), pss, nil},
		"garbage":           {ecKey(), crypto.SHA256, []byte("garbage")},
	} {
		client := &fake{key: PublicKey{Key: tc.key.Public()}, sign: func(Algorithm, [32]byte) ([]byte, error) { return tc.value, nil }}
		signer := must(NewSigner(t.Context(), client, "key-1", ""))
		if signature, err := signer.Sign(rand.Reader, digest[:], tc.opts); err == nil || signature != nil || !strings.Contains(err.Error(), "key key-1") {
			t.Errorf("%s: %x, %v", name, signature, err)
		}
	}
	broken := errors.New("broken")
	client := &fake{key: PublicKey{Key: rsaKey().Public()}, sign: func(Algorithm, [32]byte) ([]byte, error) { return nil, broken }}
	if _, err := must(NewSigner(t.Context(), client, "key-1", "")).Sign(rand.Reader, digest[:], pss); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestRawECDSA(t *testing.T) {
	digest := make([]byte, sha256.Size)
	for range 300 { // some with a number that is shorter than 32 bytes
		der := must(ecKey().Sign(rand.Reader, digest, crypto.SHA256))
		raw, err := RawECDSA(der)
		if err != nil || len(raw) != 64 {
			t.Fatalf("%d bytes, %v", len(raw), err)
		}
		if !ecdsa.Verify(ecKey().Public().(*ecdsa.PublicKey), digest, new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])) {
			t.Fatalf("%x is not the signature in %x", raw, der)
		}
	}
	small := must(asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(1), big.NewInt(2)}))
	if raw, err := RawECDSA(small); err != nil || raw[31] != 1 || raw[63] != 2 || !bytes.Equal(raw[:31], make([]byte, 31)) {
		t.Errorf("%x, %v", raw, err)
	}
	for name, der := range map[string][]byte{
		"nothing":    nil,
		"raw":        make([]byte, 64),
		"more":       append(bytes.Clone(small), 0),
		"negative":   must(asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(-1), big.NewInt(2)})),
		"zero":       must(asn1.Marshal(struct{ R, S *big.Int }{big.NewInt(1), big.NewInt(0)})),
		"too large":  must(asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(2)})),
		"one number": must(asn1.Marshal(struct{ R *big.Int }{big.NewInt(1)})),
	} {
		if raw, err := RawECDSA(der); err == nil {
			t.Errorf("%s: %x", name, raw)
		}
	}
}

func TestNotationAlgorithm(t *testing.T) {
	for spec, want := range map[KeySpec]Algorithm{RSA2048: RSAPSS, ECP256: ECDSA} {
		if got, err := spec.NotationAlgorithm(); got != want || err != nil {
			t.Errorf("%s: %s, %v", spec, got, err)
		}
	}
	for spec, want := range map[KeySpec]string{RSA3072: "SHA-384", RSA4096: "SHA-512", ECP256K: "no signatures by EC_P256K", ECSM2: "EC_SM2",
		"Aliyun_AES_256": "not the spec of a signing key", "": "not the spec"} {
		if _, err := spec.NotationAlgorithm(); !errors.Is(err, ErrKeySpec) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "use a key of spec") {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
}
