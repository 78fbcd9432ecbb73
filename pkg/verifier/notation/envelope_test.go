package notation

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/digitorus/pkcs7"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	gocose "github.com/veraison/go-cose"
)

// TestVerifyRefusesEffort gives envelopes whose verification would take long; neither the chain nor the timestamp is covered by the signature.
func TestVerifyRefusesEffort(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	heavy := heavyCertificate(t)
	image := imageOf("image")
	v := newVerifier(t, level("strict"), root.cert)
	long := slices.Repeat(leaf.chain, maxChainLength/2+1)
	tests := []struct {
		name      string
		chain     []*x509.Certificate
		timestamp []byte
		words     string
	}{
		{"long chain", long, nil, "it has 18 certificates"},
		{"heavy key", append(slices.Clone(leaf.chain), heavy), nil, "certificate 3 has an RSA key of 16384 bits"},
		{"long chain of the timestamp", leaf.chain, token(t, leaf, distinct(t, root)...), "timestamp: it has 18 certificates"},
		{"heavy key of the timestamp", leaf.chain, token(t, leaf, heavy), "has an RSA key of 16384 bits"},
	}
	for _, tt := range tests {
		var chain []any
		for _, c := range tt.chain {
			chain = append(chain, c.Raw)
		}
		t.Run("JWS "+tt.name, func(t *testing.T) {
			var parsed map[string]any
			if err := json.Unmarshal(sign(t, leaf, image, jws.MediaTypeEnvelope), &parsed); err != nil {
				t.Fatal(err)
			}
			header := parsed["header"].(map[string]any)
			header["x5c"], header["io.cncf.notary.timestampSignature"] = chain, tt.timestamp
			changed, err := json.Marshal(parsed)
			if err != nil {
				t.Fatal(err)
			}
			expectRefused(t, v, newStore(image, changed), checkFormat, tt.words)
		})
		t.Run("COSE "+tt.name, func(t *testing.T) {
			var message gocose.Sign1Message
			if err := message.UnmarshalCBOR(sign(t, leaf, image, cose.MediaTypeEnvelope)); err != nil {
				t.Fatal(err)
			}
			message.Headers.RawUnprotected = nil // made anew from what follows
			message.Headers.Unprotected[gocose.HeaderLabelX5Chain] = chain
			message.Headers.Unprotected["io.cncf.notary.timestampSignature"] = tt.timestamp
			changed, err := message.MarshalCBOR()
			if err != nil {
				t.Fatal(err)
			}
			expectRefused(t, v, newStore(image, changed), checkFormat, tt.words)
		})
	}
}

// distinct returns as many certificates as to be too many beside the token's own.
func distinct(t *testing.T, issuer *identity) []*x509.Certificate {
	t.Helper()
	key := newKey(t)
	var certs []*x509.Certificate
	for range maxChainLength + 1 {
		certs = append(certs, issue(t, issuer, "one of many", key).cert)
	}
	return certs
}

// token returns a timestamp token in form, which carries these certificates besides that of its signer.
func token(t *testing.T, signer *identity, certs ...*x509.Certificate) []byte {
	t.Helper()
	data, err := pkcs7.NewSignedData([]byte("when"))
	if err != nil {
		t.Fatal(err)
	}
	data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	data.SetContentType(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}) // id-ct-TSTInfo
	data.GetSignedData().Version = 3                                              // of CMS, not PKCS #7
	if err := data.AddSigner(signer.cert, signer.key, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range certs {
		data.AddCertificate(c)
	}
	der, err := data.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// heavyCertificate returns a certificate whose RSA key takes long to compute with.
func heavyCertificate(t *testing.T) *x509.Certificate {
	t.Helper()
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(bytes.Repeat([]byte{0xff}, 16384/8)), E: 65537}
	root := newRoot(t, "root")
	template := &x509.Certificate{SerialNumber: root.cert.SerialNumber, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, root.cert, key, root.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestEffortIsRemembered checks the certificates of a signer once, and those that cannot be read each time.
func TestEffortIsRemembered(t *testing.T) {
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	e, err := newEffort()
	if err != nil {
		t.Fatal(err)
	}
	for i, mediaType := range mediaTypes {
		if err := e.check(sign(t, leaf, imageOf(mediaType), mediaType), mediaType); err != nil {
			t.Errorf("envelope %d: %v", i, err)
		}
		if n := e.light.Len(); n != len(leaf.chain) {
			t.Errorf("%d certificates are known after %d envelopes of a signer, want %d", n, i+1, len(leaf.chain))
		}
	}
	if err := e.checkCertificate([]byte("x")); err != nil || e.light.Len() != len(leaf.chain) {
		t.Errorf("what cannot be read: %v, %d known", err, e.light.Len())
	}
}
