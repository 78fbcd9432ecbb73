package signing

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"

	"github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
)

// given is what the user has certificates in: a file or a secret.
type given struct {
	certificate.Chain
	name string // for errors
}

// wrap makes err, unless that is nil, an error about what the user gave.
func (g given) wrap(err error) error {
	if err == nil {
		return nil
	}
	return invalidf("%s: %w", g.name, err)
}

func (s *session) certificateGiven() bool {
	return s.settings.CACerts != "" || s.settings.CertSecret != ""
}

func (s *session) readGiven() (given, error) {
	if path := s.settings.CACerts; path != "" {
		g := given{name: settings.Key("ca_certs") + " " + path}
		var err error
		if g.Chain, err = certificate.Read(path); err != nil {
			return given{}, invalidf("%s: %w", settings.Key("ca_certs"), err)
		}
		return g, nil
	}
	name := s.settings.CertSecret
	g := given{name: settings.Key("cert_secret") + " " + name}
	secret, err := s.client.Secret(s.ctx, name, kms.SecretVersion{})
	if errors.Is(err, kms.ErrNotFound) {
		return given{}, fmt.Errorf("%w; to make a certificate, run %s%s certificate create --id %s, and put what it wrote into a secret of that name",
			err, plugin.BinaryPrefix, Name, s.keyID)
	}
	if err != nil {
		return given{}, err
	}
	g.Chain, err = certificate.Parse(secret.Data)
	return g, g.wrap(err)
}

// order returns the chain of a key, or of the only one it can be if that is nil, in order, as notation accepts it.
func (s *session) order(g given, key crypto.PublicKey) ([]*x509.Certificate, error) {
	chain, err := certificate.Order(g.Certificates, key, s.now)
	if err == nil {
		err = certificate.Check(chain, s.now)
	}
	return chain, g.wrap(err)
}

// signWithGiven signs with the certificate that the user gave.
func (s *session) signWithGiven(spec plugin.KeySpec, payload []byte) (made, error) {
	g, err := s.readGiven()
	if err != nil {
		return made{}, err
	}
	version, byText := s.settings.KeyVersion, false
	if version == "" && g.Origin.Names(s.keyID) && !s.settings.ByClientKey() {
		version, byText = g.Origin.Version, g.Origin.Version != ""
	}
	chain, err := s.order(g, nil)
	if errors.Is(err, certificate.ErrLeaf) {
		key, failed := s.client.PublicKey(s.ctx, s.keyID, version)
		if failed != nil {
			return made{}, failed
		}
		version = key.Version
		chain, err = s.order(g, key.Key)
	}
	if err != nil {
		return made{}, err
	}
	alg, err := ofKey(chain[0].PublicKey)
	if err == nil {
		err = alg.expect(spec, "the certificate is for one of")
	}
	if err != nil {
		return made{}, g.wrap(err)
	}
	m, err := s.signFor(chain, version, alg, payload)
	if byText && errors.Is(err, kms.ErrNotFound) {
		return made{}, g.wrap(fmt.Errorf("the text before the certificate says that it is for version %s of the key: %w", version, err))
	}
	if err != nil {
		return made{}, s.explain(err, g, chain[0], version)
	}
	return m, nil
}

// explain finds out whether a signature failed because the certificate is another key's: KMS refuses algorithms that are not those of its key, and
// signs with a wrong key as well as with the right one.
func (s *session) explain(err error, g given, leaf *x509.Certificate, version string) error {
	answered, ok := errors.AsType[*kms.Error](err)
	if !errors.Is(err, errOtherKey) && !(ok && answered.StatusCode == http.StatusBadRequest) {
		return err
	}
	key, failed := s.client.PublicKey(s.ctx, s.keyID, version)
	switch {
	case failed != nil && ok, failed == nil && ok && certificate.SameKey(key.Key, leaf.PublicKey):
		return err
	case failed != nil:
		return g.wrap(fmt.Errorf("%w, and the key could not be looked up: %w", err, failed))
	case certificate.SameKey(key.Key, leaf.PublicKey):
		return s.forged(err)
	}
	other := "key " + s.keyID
	if key.Version != "" {
		other += " (version " + key.Version + ")"
	}
	err = fmt.Errorf("the certificate of %q, serial number %s, is not for %s: give the certificate of this key", leaf.Subject, certificate.Serial(leaf), other)
	if !s.settings.ByClientKey() && s.settings.KeyVersion == "" {
		err = fmt.Errorf("%w, or set %s if it is for another version of the key", err, settings.Key("key_version"))
	}
	return g.wrap(err)
}

// forged is the error of a signature that does not verify with the certificate of its key.
func (s *session) forged(err error) error {
	return fmt.Errorf("key %s: %w, although that is the key's: check that no proxy changes replies on the way to %s", s.keyID, err, s.client)
}

func digest(payload []byte) [sha256.Size]byte { return sha256.Sum256(payload) }
