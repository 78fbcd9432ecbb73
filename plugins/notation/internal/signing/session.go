package signing

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
)

// session is one command of notation.
type session struct {
	ctx      context.Context
	client   kms.Client
	keyID    string
	settings *settings.Settings
	now      time.Time
	notices  []string // for people, if the command succeeds
}

// made is a signature that was verified with the first certificate of the chain.
type made struct {
	chain     []*x509.Certificate
	algorithm algorithm
	signature []byte // as KMS makes it
}

// describe returns the spec of the key. A certificate that the user gave tells it; else KMS is asked once.
func (s *session) describe() (plugin.KeySpec, error) {
	if s.certificateGiven() {
		given, err := s.readGiven()
		if err != nil {
			return "", err
		}
		chain, err := s.order(given, nil)
		if err == nil {
			alg, err := ofKey(chain[0].PublicKey)
			return alg.spec, given.wrap(err)
		}
		if !errors.Is(err, certificate.ErrLeaf) {
			return "", err
		}
	}
	spec, err := s.lookUpSpec()
	if err != nil {
		return "", err
	}
	alg, err := ofSpec(spec)
	if err != nil {
		return "", invalidf("key %s: %w", s.keyID, err)
	}
	return alg.spec, nil
}

// lookUpSpec asks KMS about the key, or about the version of it that was chosen.
func (s *session) lookUpSpec() (kms.KeySpec, error) {
	if s.settings.KeyVersion != "" {
		key, err := s.client.PublicKey(s.ctx, s.keyID, s.settings.KeyVersion)
		return key.Spec, err
	}
	key, err := s.client.DescribeKey(s.ctx, s.keyID)
	answered, _ := errors.AsType[*kms.Error](err)
	switch {
	case answered != nil && answered.Incomplete() && s.settings.Endpoint != "" && !strings.Contains(s.settings.Endpoint, answered.Endpoint):
		return "", fmt.Errorf("%w; where only the dedicated instance can be reached, set %s", err, settings.Key("key_version"))
	case err != nil:
		return "", err
	case key.State != "" && key.State != "Enabled":
		return "", invalidf("key %s: %w: its state is %s; see its page in the KMS console", s.keyID, kms.ErrUnusable, key.State)
	case key.Usage != "" && key.Usage != "SIGN/VERIFY":
		return "", invalidf("key %s: its usage is %s; use a key with the usage SIGN/VERIFY", s.keyID, key.Usage)
	}
	return key.Spec, nil
}

// generate signs a payload, and verifies the signature with the certificate that goes with it.
func (s *session) generate(spec plugin.KeySpec, payload []byte) (made, error) {
	sign := s.signWithOwn
	if s.certificateGiven() {
		sign = s.signWithGiven
	}
	m, err := sign(spec, payload)
	if err != nil {
		return made{}, err
	}
	if warning := certificate.EndsSoon(m.chain, s.now); warning != "" {
		s.notices = append(s.notices, "warning: "+warning)
	}
	return m, nil
}

// errOtherKey is wrapped if a signature is not by the key of the certificate.
var errOtherKey = errors.New("the signature does not verify with the certificate")

// signFor has KMS sign the payload with a version of the key, without looking the key up: that the signature verifies proves that the certificate
// is the key's.
func (s *session) signFor(chain []*x509.Certificate, version string, alg algorithm, payload []byte) (made, error) {
	signature, err := s.client.Sign(s.ctx, s.keyID, version, alg.kms, digest(payload))
	if err != nil {
		return made{}, err
	}
	if err := chain[0].CheckSignature(alg.x509, payload, signature.Value); err != nil {
		return made{}, errOtherKey
	}
	return made{chain, alg, signature.Value}, nil
}

// expect returns an error unless notation asked for signatures of such a key. what begins the sentence about the key.
func (a algorithm) expect(spec plugin.KeySpec, what string) error {
	if a.spec != spec {
		return invalidf("notation asks for a signature by a key of spec %s, and %s %s", spec, what, a.spec)
	}
	return nil
}
