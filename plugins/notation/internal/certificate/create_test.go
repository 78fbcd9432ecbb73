package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"testing"
	"time"
)

func TestCreate(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	for _, key := range []crypto.Signer{rsaKey, newKey(t)} {
		create := func() *x509.Certificate {
			cert, err := Create(key, Options{Subject: DefaultSubject(), Validity: DefaultValidity, Now: now})
			if err != nil {
				t.Fatal(err)
			}
			return cert
		}
		cert := create()
		if err := Check([]*x509.Certificate{cert}, now); err != nil {
			t.Errorf("%T: %v", key, err)
		}
		if !cert.NotBefore.Equal(now.Add(-5*time.Minute)) || !cert.NotAfter.Equal(now.Add(365*24*time.Hour)) {
			t.Errorf("valid from %s to %s", cert.NotBefore, cert.NotAfter)
		}
		if got := cert.Subject.String(); got != "CN=notation,OU=Ack,O=AlibabaCloud,C=CN" {
			t.Error(got)
		}
		if cert.IsCA || cert.KeyUsage != x509.KeyUsageDigitalSignature || len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageCodeSigning {
			t.Errorf("CA %t, usage %v %v", cert.IsCA, cert.KeyUsage, cert.ExtKeyUsage)
		}
		if want, _ := signatureAlgorithm(key.Public()); cert.SignatureAlgorithm != want {
			t.Error(cert.SignatureAlgorithm)
		}
		if cert.SerialNumber.Cmp(create().SerialNumber) == 0 || cert.SerialNumber.BitLen() < 96 {
			t.Errorf("serial number %x", cert.SerialNumber)
		}
	}
	if _, err := signatureAlgorithm(&ecdsa.PrivateKey{PublicKey: ecdsa.PublicKey{Curve: elliptic.P256()}}); err == nil {
		t.Error("a certificate for a private key")
	}
}
