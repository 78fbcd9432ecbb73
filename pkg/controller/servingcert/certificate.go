package servingcert

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
)

// Certificate is what a server shows: the last usable content of the Secret. It is safe for concurrent use.
type Certificate struct {
	current atomic.Pointer[tls.Certificate]
}

// errNone is why there is nothing to show.
var errNone = errors.New("there is no serving certificate yet: the Secret has none, or could not be read")

// Load makes the Secret's content what is shown, and tells whether that is something else than before. After an error the last one stays.
func (c *Certificate) Load(secret *corev1.Secret) (changed bool, err error) {
	pair, err := tls.X509KeyPair(secret.Data[certKey], secret.Data[keyKey])
	if err != nil {
		return false, fmt.Errorf("secret %s/%s: %s and %s are no certificate with its key: %w", secret.Namespace, secret.Name, certKey, keyKey, err)
	}
	last := c.current.Swap(&pair)
	return last == nil || !bytes.Equal(last.Leaf.Raw, pair.Leaf.Raw), nil
}

// Get returns what is shown, as tls.Config.GetCertificate.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if pair := c.current.Load(); pair != nil {
		return pair, nil
	}
	return nil, errNone
}

// Ready returns nil once there is something to show.
func (c *Certificate) Ready() error {
	_, err := c.Get(nil)
	return err
}
