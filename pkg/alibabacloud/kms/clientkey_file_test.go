package kms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
)

const password = "hush-password"

// certificateOf returns a self-signed certificate of key.
func certificateOf(key crypto.Signer, end time.Time) *x509.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "KAAP.1"}, NotBefore: end.Add(-time.Hour), NotAfter: end}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))))
}

// clientKeyFile returns a client key file with a PKCS #12 of key and certificates.
func clientKeyFile(encoder *pkcs12.Encoder, key crypto.Signer, certificate *x509.Certificate, more ...*x509.Certificate) []byte {
	return must(json.Marshal(map[string]any{"KeyId": "KAAP.1", "PrivateKeyData": must(encoder.Encode(key, certificate, more, password))}))
}

func TestParseClientKey(t *testing.T) {
	now := time.Now()
	later := now.Add(time.Hour)
	own, foreign := certificateOf(rsaKey(), later), certificateOf(ecKey(), later)
	for name, file := range map[string][]byte{
		"legacy, DES":             clientKeyFile(pkcs12.LegacyDES, rsaKey(), own),
		"legacy, RC2":             clientKeyFile(pkcs12.LegacyRC2, rsaKey(), own),
		"modern":                  clientKeyFile(pkcs12.Modern2023, rsaKey(), own),
		"another certificate too": clientKeyFile(pkcs12.LegacyDES, rsaKey(), own, foreign),
		"after another one":       clientKeyFile(pkcs12.LegacyDES, rsaKey(), foreign, own),
	} {
		c, err := parseClientKey(file, password, now)
		if err != nil || c.id != "KAAP.1" || !c.key.Equal(rsaKey()) || !c.certificate.Equal(own) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
		if text := fmt.Sprintf("%v %+v %#v", c, c, c); strings.Contains(text, c.key.D.String()) || !strings.Contains(text, "KAAP.1") {
			t.Errorf("%s: printed as %s", name, text)
		}
	}
	good := clientKeyFile(pkcs12.LegacyDES, rsaKey(), own)
	short := must(json.Marshal(map[string]any{"KeyId": "KAAP.1", "PrivateKeyData": withShortIV(own)}))
	trust := must(json.Marshal(map[string]any{"KeyId": "KAAP.1",
		"PrivateKeyData": must(pkcs12.LegacyDES.EncodeTrustStore([]*x509.Certificate{own}, password))}))
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for name, tc := range map[string]struct {
		file     []byte
		password string
		field    string
		want     string
	}{
		"wrong password":        {good, "hush-other", "password", "client key KAAP.1"},
		"no password":           {good, "", "password", "_Password.txt"},
		"modern, wrong one":     {clientKeyFile(pkcs12.Modern2023, rsaKey(), own), "hush-other", "password", "client key KAAP.1"},
		"nothing":               {nil, password, "clientKey", "not the JSON"},
		"no JSON":               {[]byte("hush"), password, "clientKey", "clientKey_*.json"},
		"a list":                {[]byte("[]"), password, "clientKey", "not the JSON"},
		"no KeyId":              {[]byte(`{"PrivateKeyData":"aHVzaA=="}`), password, "clientKey", "no KeyId"},
		"a broken KeyId":        {[]byte(`{"KeyId":"a\r\nb","PrivateKeyData":"aHVzaA=="}`), password, "clientKey", "no KeyId"},
		"no PrivateKeyData":     {[]byte(`{"KeyId":"KAAP.1"}`), password, "clientKey", "no PrivateKeyData"},
		"not base64":            {[]byte(`{"KeyId":"KAAP.1","PrivateKeyData":"hush!"}`), password, "clientKey", "not base64"},
		"not PKCS #12":          {[]byte(`{"KeyId":"KAAP.1","PrivateKeyData":"aHVzaA=="}`), password, "clientKey", "not PKCS #12"},
		"a short IV":            {short, "", "clientKey", "not PKCS #12"},
		"no private key":        {trust, password, "clientKey", "not PKCS #12 with a key"},
		"an EC key":             {clientKeyFile(pkcs12.LegacyDES, ec, certificateOf(ec, later)), password, "clientKey", "*ecdsa.PrivateKey where an RSA key"},
		"a foreign certificate": {clientKeyFile(pkcs12.LegacyDES, rsaKey(), foreign), password, "clientKey", "no certificate of its key"},
		"expired":               {clientKeyFile(pkcs12.LegacyDES, rsaKey(), certificateOf(rsaKey(), now.Add(-time.Hour))), password, "clientKey", "create another client key"},
		"too large":             {make([]byte, maxClientKey+1), password, "clientKey", "65537 bytes"},
	} {
		c, err := parseClientKey(tc.file, tc.password, now)
		mistake, ok := errors.AsType[*parameter.Error](err)
		if c != nil || !ok || mistake.Field != tc.field || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, %v; want %s and %q", name, c, err, tc.field, tc.want)
		}
	}
}

// withShortIV returns a PKCS #12 without password and MAC, whose AES has an initialization vector of 15 bytes, on which ciphers of Go's library panic.
func withShortIV(certificate *x509.Certificate) []byte {
	var pfx struct {
		Version  int
		AuthSafe asn1.RawValue
		MAC      asn1.RawValue `asn1:"optional"`
	}
	must(asn1.Unmarshal(must(pkcs12.Modern2023.Encode(rsaKey(), certificate, nil, "")), &pfx))
	pfx.MAC = asn1.RawValue{}
	aes256CBC := must(asn1.Marshal(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}))
	return bytes.ReplaceAll(must(asn1.Marshal(pfx)), append(bytes.Clone(aes256CBC), asn1.TagOctetString, 16), append(bytes.Clone(aes256CBC), asn1.TagOctetString, 15))
}

func FuzzParseClientKey(f *testing.F) {
	// Without a PKCS #12 that is complete: how often its password is hashed is in it, and fuzzing would find a number that takes for ever.
	for _, seed := range []string{`{"KeyId":"KAAP.1","PrivateKeyData":"aHVzaA=="}`, `{"KeyId":"KAAP.1"}`, `{"PrivateKeyData":[1]}`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := parseClientKey(file, password, time.Now())
		if _, ok := errors.AsType[*parameter.Error](err); c == nil && !ok {
			t.Errorf("%v is no *parameter.Error", err)
		}
	})
}
