package chart

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"testing"
)

// certificates reads a caBundle as Gatekeeper does.
func certificates(t *testing.T, bundle string) (all []*x509.Certificate) {
	t.Helper()
	content, err := base64.StdEncoding.DecodeString(bundle)
	if err != nil {
		t.Fatal(err)
	}
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, certificate)
	}
	return all
}
