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

// renew returns what the Secret is to hold now, for a server with that DNS name, or nil if data may stay as it is.
func renew(data map[string][]byte, dnsName string, now time.Time) (map[string][]byte, error) {
	begin := now.Add(-backdated)
	renewed := make(map[string][]byte)
	maps.Copy(renewed, data)

	authority, err := readAuthority(data, dnsName, now)
	if err != nil {
		if authority, err = newAuthority(dnsName, begin, now.Add(authorityTerm)); err != nil {
			return nil, fmt.Errorf("make a certificate authority: %w", err)
		}
		renewed[authorityKey] = append(encode(authority.certificate), stillValid(data[authorityKey], now)...)
		renewed[signingKey] = encodeKey(authority.key)
	} else if retired(data, dnsName, now) {
		renewed[authorityKey] = stillValid(data[authorityKey], now)
	}
	if !mayStay(renewed, authority.certificate, dnsName, now) {
		certificate, key, err := authority.issue(dnsName, begin, now.Add(certificateTerm))
		if err != nil {
			return nil, fmt.Errorf("make a serving certificate: %w", err)
		}
		renewed[certKey], renewed[keyKey] = encode(certificate), encodeKey(key)
	}
	if maps.EqualFunc(renewed, data, bytes.Equal) {
		return nil, nil
	}
	return renewed, nil
}

// readAuthority returns the authority of the Secret, or an error if it is to be replaced.
func readAuthority(data map[string][]byte, dnsName string, now time.Time) (authority, error) {
	if err := valid(data[authorityKey], data[authorityKey], data[signingKey], dnsName, now.Add(renewAhead)); err != nil {
		return authority{}, err
	}
	pair, err := tls.X509KeyPair(data[authorityKey], data[signingKey])
	if err != nil {
		return authority{}, err
	}
	key, ok := pair.PrivateKey.(*rsa.PrivateKey)
	if !ok || !pair.Leaf.IsCA {
		return authority{}, errors.New("not an authority with an RSA key, which is what Ratify v1.4 signs with")
	}
	return authority{pair.Leaf, key}, nil
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
	return encode(certificate)
}

// retired tells whether nothing that the authority before issued is shown any more.
func retired(data map[string][]byte, dnsName string, now time.Time) bool {
	if valid(data[authorityKey], data[certKey], data[keyKey], dnsName, now) != nil {
		return false
	}
	pair, err := tls.X509KeyPair(data[certKey], data[keyKey])
	return err == nil && now.After(pair.Leaf.NotBefore.Add(backdated+retireAfter))
}

// mayStay tells whether the server certificate of the Secret needs no renewal. One of the authority before stays while Gatekeeper gets to know
// the new one.
func mayStay(data map[string][]byte, authority *x509.Certificate, dnsName string, now time.Time) bool {
	if valid(data[authorityKey], data[certKey], data[keyKey], dnsName, now.Add(renewAhead)) == nil {
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
	return verify(pair.Leaf, authorities, dnsName, now) == nil
}

// valid returns nil if the certificate is that of the key and the first certificate of the bundle issued it for a server of that name.
func valid(bundle, certificate, key []byte, dnsName string, now time.Time) error {
	block, _ := pem.Decode(bundle)
	if block == nil {
		return errors.New("no certificate of an authority")
	}
	issuer, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return err
	}
	authorities := x509.NewCertPool()
	authorities.AddCert(issuer)
	return verify(pair.Leaf, authorities, dnsName, now)
}

func verify(certificate *x509.Certificate, authorities *x509.CertPool, dnsName string, now time.Time) error {
	_, err := certificate.Verify(x509.VerifyOptions{
		DNSName: dnsName, Roots: authorities, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, CurrentTime: now,
	})
	return err
}
