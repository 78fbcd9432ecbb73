package kms

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
)

// maxClientKey bounds the file of a client key, in bytes. One with a key of 4096 bits and its certificate has about 7 KiB.
const maxClientKey = 64 << 10

// clientKeyID is what the service calls a client key, such as KAAP.66abf237-63f6-4625-b8cf-47e1086e0000.
var clientKeyID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// credential is a client key: what an application signs its requests to a dedicated instance with.
type credential struct {
	id          string
	key         *rsa.PrivateKey
	certificate *x509.Certificate
}

// parseClientKey reads a client key file (clientKey_*.json) with its password. Errors are *parameter.Error about "clientKey" or "password", and
// quote nothing of either.
func parseClientKey(file []byte, password string, now time.Time) (*credential, error) {
	wrong := func(format string, args ...any) error { return parameter.Errorf("clientKey", format, args...) }
	const instead = "give the file clientKey_*.json that the KMS console brings when an application access point or a client key is created"
	if len(file) > maxClientKey {
		return nil, wrong("has %d bytes, more than any client key; %s", len(file), instead)
	}
	var content struct {
		KeyID          string `json:"KeyId"`
		PrivateKeyData string
	}
	if json.Unmarshal(file, &content) != nil {
		return nil, wrong("is not the JSON of a client key; %s", instead)
	}
	if !clientKeyID.MatchString(content.KeyID) {
		return nil, wrong("has no KeyId such as KAAP.66abf237-…; %s", instead)
	}
	if content.PrivateKeyData == "" {
		return nil, wrong("has no PrivateKeyData; %s", instead)
	}
	store, err := base64.StdEncoding.DecodeString(content.PrivateKeyData)
	if err != nil {
		return nil, wrong("has a PrivateKeyData that is not base64; %s", instead)
	}
	key, certificate, authorities, err := pkcs12.DecodeChain(store, password)
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return nil, parameter.Errorf("password", "is not the one of client key %s: it is in clientKey_*_Password.txt of the same download; mind line breaks at its end",
			content.KeyID)
	case err != nil:
		return nil, wrong("has a PrivateKeyData that is not PKCS #12 with a key and its certificate: %w; %s", err, instead)
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, wrong("holds a %T where an RSA key is expected; %s", key, instead)
	}
	// The certificate is told by its key: writers of PKCS #12 order them as they like.
	all := append([]*x509.Certificate{certificate}, authorities...)
	own := slices.IndexFunc(all, func(c *x509.Certificate) bool { return private.PublicKey.Equal(c.PublicKey) })
	if own < 0 {
		return nil, wrong("holds no certificate of its key; %s", instead)
	}
	if end := all[own].NotAfter; now.After(end) {
		return nil, wrong("expired at %s: create another client key for the application access point, and replace file and password", end.Format(time.RFC3339))
	}
	return &credential{id: content.KeyID, key: private, certificate: all[own]}, nil
}

// String names the client key only, so that printing one shows no secret.
func (c *credential) String() string { return fmt.Sprintf("client key %s", c.id) }

// GoString is String, for %#v.
func (c *credential) GoString() string { return c.String() }
