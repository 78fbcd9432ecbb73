package servingcert

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/open-policy-agent/cert-controller/pkg/rotator"
)

// The keys of the Secret.
const (
	certKey      = "tls.crt"
	keyKey       = "tls.key"
	authorityKey = "ca.crt" // the current authority, and behind it the one before until that has retired
	signingKey   = "ca.key" // of the current authority
)

const (
	authorityTerm   = 10 * 365 * 24 * time.Hour
	certificateTerm = 365 * 24 * time.Hour
	// renewAhead is how long before its end something is renewed.
	renewAhead = 90 * 24 * time.Hour
	// backdated is how far the terms begin in the past, for clocks that are late.
	backdated = time.Hour
	// overlap is how long a new authority is known to Gatekeeper before it issues what is shown.
	overlap = time.Hour
	// retireAfter is how long the authority before stays known after the last certificate that it issued was replaced: replicas that cannot
	// reach the API server show that one on. Not longer: a key that was stolen is a reason to have another authority.
	retireAfter = 24 * time.Hour
)

// organization is the authority's in Ratify v1.4.
const organization = "Ratify"

// renew returns what the Secret is to hold now, for a server with that DNS name, or nil if data may stay as it is.
func renew(data map[string][]byte, dnsName string, now time.Time) (map[string][]byte, error) {
	issuer := &rotator.CertRotator{CAName: dnsName, CAOrganization: organization, DNSName: dnsName, ExtKeyUsages: &serverAuth}
	begin := now.Add(-backdated)
	renewed := make(map[string][]byte)
	maps.Copy(renewed, data)

	authority, err := readAuthority(data, dnsName, now)
	if err != nil {
		if authority, err = issuer.CreateCACert(begin, now.Add(authorityTerm)); err != nil {
			return nil, fmt.Errorf("make a certificate authority: %w", err)
		}
		renewed[authorityKey] = append(bytes.Clone(authority.CertPEM), stillValid(data[authorityKey], now)...)
		renewed[signingKey] = authority.KeyPEM
	} else if retired(data, dnsName, now) {
		renewed[authorityKey] = stillValid(data[authorityKey], now)
	}
	if !mayStay(renewed, authority.Cert, dnsName, now) {
		if renewed[certKey], renewed[keyKey], err = issuer.CreateCertPEM(authority, begin, now.Add(certificateTerm)); err != nil {
			return nil, fmt.Errorf("make a serving certificate: %w", err)
		}
	}
	if maps.EqualFunc(renewed, data, bytes.Equal) {
		return nil, nil
	}
	return renewed, nil
}

var serverAuth = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}

// readAuthority returns the authority of the Secret, or an error if it is to be replaced.
func readAuthority(data map[string][]byte, dnsName string, now time.Time) (*rotator.KeyPairArtifacts, error) {
	certificate, key := data[authorityKey], data[signingKey]
	if ok, err := rotator.ValidCert(certificate, certificate, key, dnsName, nil, now.Add(renewAhead)); !ok {
		return nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	private, ok := pair.PrivateKey.(*rsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return nil, errors.New("not an authority with an RSA key, which is what the library signs with")
	}
	return &rotator.KeyPairArtifacts{Cert: pair.Leaf, CertPEM: certificate, Key: private, KeyPEM: key}, nil
}

// stillValid returns the first certificate of a bundle, the current authority, or nothing if it has expired.
func stillValid(bundle []byte, now time.Time) []byte {
	block, _ := pem.Decode(bundle)
	if block == nil {
		return nil
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil || now.After(certificate.NotAfter) {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes})
}

// retired tells whether nothing that the authority before issued is shown any more.
func retired(data map[string][]byte, dnsName string, now time.Time) bool {
	if ok, err := rotator.ValidCert(data[authorityKey], data[certKey], data[keyKey], dnsName, &serverAuth, now); !ok || err != nil {
		return false
	}
	pair, err := tls.X509KeyPair(data[certKey], data[keyKey])
	return err == nil && now.After(pair.Leaf.NotBefore.Add(backdated+retireAfter))
}

// mayStay tells whether the server certificate of the Secret needs no renewal. One of the authority before stays while Gatekeeper gets to know
// the new one.
func mayStay(data map[string][]byte, authority *x509.Certificate, dnsName string, now time.Time) bool {
	if ok, err := rotator.ValidCert(data[authorityKey], data[certKey], data[keyKey], dnsName, &serverAuth, now.Add(renewAhead)); ok && err == nil {
		return true
	}
	if now.After(authority.NotBefore.Add(backdated + overlap)) {
		return false
	}
	return accepted(data, dnsName, now.Add(2*overlap))
}

// accepted tells whether clients that know the authorities in data accept the server certificate in it.
func accepted(data map[string][]byte, dnsName string, now time.Time) bool {
	pair, err := tls.X509KeyPair(data[certKey], data[keyKey])
	if err != nil {
		return false
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(data[authorityKey])
	_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: dnsName, Roots: authorities, KeyUsages: serverAuth, CurrentTime: now})
	return err == nil
}
