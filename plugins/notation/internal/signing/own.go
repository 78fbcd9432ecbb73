package signing

import (
	"crypto/x509"
	"errors"

	"github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
)

// signWithOwn signs with the certificate that this plugin makes once and uses as long as it can.
func (s *session) signWithOwn(spec plugin.KeySpec, payload []byte) (made, error) {
	folder := certificate.Folder(s.settings.OutputCertDir)
	m, err := s.signAgain(folder, spec, payload)
	if !errors.Is(err, errUnknown) {
		return m, err
	}
	signer, err := kms.NewSigner(s.ctx, s.client, s.keyID, s.settings.KeyVersion)
	if err != nil {
		return made{}, err
	}
	key := signer.PublicKey()
	alg, err := ofSpec(key.Spec)
	if err == nil {
		err = alg.expect(spec, "this is one of")
	}
	if err != nil {
		return made{}, invalidf("key %s: %w", s.keyID, err)
	}
	var failed error
	chain, note, err := folder.ForKey(s.ctx, certificate.Need{Key: key.Key, Origin: s.origin(key), Now: s.now,
		Create: func(former *x509.Certificate) (cert *x509.Certificate, err error) {
			cert, failed = s.create(signer, former)
			return cert, failed
		}})
	switch {
	case failed != nil:
		return made{}, failed
	case err != nil:
		return made{}, invalidf("%s %s: %w", settings.Key("output_cert_dir"), folder, err)
	}
	if note != "" {
		s.notices = append(s.notices, note)
	}
	if err := s.checkSubject(folder, chain); err != nil {
		return made{}, err
	}
	m, err = s.signFor(chain.Certificates, key.Version, alg, payload)
	if errors.Is(err, errOtherKey) {
		err = s.forged(err)
	}
	return m, err
}

// errUnknown says that the certificate, or what it is for, must be found out.
var errUnknown = errors.New("no certificate that is known to be the key's")

// signAgain signs with the certificate that is there, if its text says that it is the key's, and the signature proves that.
func (s *session) signAgain(folder certificate.Folder, spec plugin.KeySpec, payload []byte) (made, error) {
	chain, err := folder.Current(s.now)
	if err != nil || !chain.Origin.Names(s.keyID) {
		return made{}, errUnknown
	}
	version := chain.Origin.Version
	if s.settings.ByClientKey() {
		version = "" // it knows none
	} else if version == "" || s.settings.KeyVersion != "" && s.settings.KeyVersion != version {
		return made{}, errUnknown
	}
	alg, err := ofKey(chain.Leaf().PublicKey)
	if err != nil || alg.spec != spec {
		return made{}, errUnknown
	}
	if err := s.checkSubject(folder, chain); err != nil {
		return made{}, err
	}
	m, err := s.signFor(chain.Certificates, version, alg, payload)
	if errors.Is(err, errOtherKey) || errors.Is(err, kms.ErrNotFound) { // the text is of another key, or the alias is now
		return made{}, errUnknown
	}
	return m, err
}

// checkSubject returns an error if the certificate has another subject than the one that was asked for: it is a trust anchor, and not replaced
// for its subject.
func (s *session) checkSubject(folder certificate.Folder, chain certificate.Chain) error {
	if want := s.settings.CertSubject; want != nil && chain.Leaf().Subject.String() != want.String() {
		return invalidf("%s: the certificate %s is of %q; move it away to have one of %q made, or leave this key out", settings.Key("cert_subject"), folder.Path(),
			chain.Leaf().Subject, want)
	}
	return nil
}

func (s *session) origin(key kms.PublicKey) certificate.Origin {
	o := certificate.Origin{Key: key.KeyID, Version: key.Version}
	if s.keyID != key.KeyID {
		o.Alias = s.keyID
	}
	return o
}

// create makes a certificate. Unless a subject was asked for, it has that of the former one, which trust policies may name.
func (s *session) create(signer *kms.Signer, former *x509.Certificate) (*x509.Certificate, error) {
	subject := certificate.DefaultSubject()
	switch {
	case s.settings.CertSubject != nil:
		subject = *s.settings.CertSubject
	case former != nil:
		subject = former.Subject
		subject.ExtraNames = subject.Names // also those that pkix.Name has no field for
	}
	return certificate.Create(signer.Within(s.ctx), certificate.Options{Subject: subject, Validity: s.settings.CertValidity, Now: s.now})
}
