package signing

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net/url"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
	"github.com/google/certificate-transparency-go/x509util"
)

// Fulcio issues certificates to whoever has an identity, with proofs that it told a certificate transparency log
// (https://github.com/sigstore/fulcio/blob/main/docs/certificate-specification.md).
type Fulcio struct {
	root         *x509.Certificate
	key, log     *ecdsa.PrivateKey
	withoutProof bool
}

// NewFulcio returns an authority with new keys.
func NewFulcio() (*Fulcio, error) {
	f := &Fulcio{}
	var err error
	for _, key := range []**ecdsa.PrivateKey{&f.key, &f.log} {
		if *key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, err
		}
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"sigstore.dev"}, CommonName: "sigstore"},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(9, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, f.key.Public(), f.key)
	if err != nil {
		return nil, err
	}
	f.root, err = x509.ParseCertificate(der)
	return f, err
}

// WithoutProof returns the same authority when it does not tell the certificate transparency log.
func (f *Fulcio) WithoutProof() *Fulcio {
	other := *f
	other.withoutProof = true
	return &other
}

// PEM returns the root certificate, and LogPEM the public key of the certificate transparency log.
func (f *Fulcio) PEM() string { return certificatePEM(f.root.Raw) }

// LogPEM returns the public key of the certificate transparency log.
func (f *Fulcio) LogPEM() (string, error) { return publicPEM(f.log.Public()) }

// Issue returns a key with a certificate for an identity, a URI, of an OIDC issuer. It is valid for ten minutes.
func (f *Fulcio) Issue(identity, issuer string, from time.Time) (CosignKey, error) {
	key, err := NewCosignKey()
	if err != nil {
		return key, err
	}
	uri, err := url.Parse(identity)
	if err != nil {
		return key, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return key, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, NotBefore: from, NotAfter: from.Add(10 * time.Minute), URIs: []*url.URL{uri},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte(issuer)}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, f.root, key.Public(), f.key)
	if err != nil {
		return key, err
	}
	if !f.withoutProof {
		proof, err := f.prove(der, from)
		if err != nil {
			return key, err
		}
		template.ExtraExtensions = append(template.ExtraExtensions, proof)
		if der, err = x509.CreateCertificate(rand.Reader, template, f.root, key.Public(), f.key); err != nil {
			return key, err
		}
	}
	key.Certificate, key.Chain = certificatePEM(der), f.PEM()
	return key, nil
}

// prove returns the extension with the signed certificate timestamp of a certificate that lacks it (RFC 6962, section 3.3).
func (f *Fulcio) prove(der []byte, at time.Time) (pkix.Extension, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return pkix.Extension{}, err
	}
	logKey, err := x509.MarshalPKIXPublicKey(f.log.Public())
	if err != nil {
		return pkix.Extension{}, err
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: sha256.Sum256(logKey)}, Timestamp: uint64(at.UnixMilli())}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: ct.MerkleTreeLeaf{
		Version: ct.V1, LeafType: ct.TimestampedEntryLeafType,
		TimestampedEntry: &ct.TimestampedEntry{
			Timestamp: sct.Timestamp, EntryType: ct.PrecertLogEntryType,
			PrecertEntry: &ct.PreCert{IssuerKeyHash: sha256.Sum256(f.root.RawSubjectPublicKeyInfo), TBSCertificate: cert.RawTBSCertificate},
		},
	}})
	if err != nil {
		return pkix.Extension{}, err
	}
	signed, err := tls.CreateSignature(*f.log, tls.SHA256, input)
	if err != nil {
		return pkix.Extension{}, err
	}
	sct.Signature = ct.DigitallySigned(signed)
	list, err := x509util.MarshalSCTsIntoSCTList([]*ct.SignedCertificateTimestamp{&sct})
	if err != nil {
		return pkix.Extension{}, err
	}
	text, err := tls.Marshal(*list)
	if err != nil {
		return pkix.Extension{}, err
	}
	value, err := asn1.Marshal(text)
	return pkix.Extension{Id: asn1.ObjectIdentifier(ctx509.OIDExtensionCTSCT), Value: value}, err
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
