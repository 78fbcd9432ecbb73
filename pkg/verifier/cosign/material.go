package cosign

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/tuf"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
)

// The environment variables by which cosign takes trust material from files, instead of Sigstore's trust root.
const (
	envRootFile = "SIGSTORE_ROOT_FILE"              // certificates of Fulcio, roots and intermediates
	envRekorKey = "SIGSTORE_REKOR_PUBLIC_KEY"       // of the transparency log
	envCTLogKey = "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE" // of the certificate transparency log
)

// material is what keyless signatures and transparency logs are checked with. What is nil is not known.
type material struct {
	roots, intermediates *x509.CertPool
	rekor, ctLog         *cosign.TrustedTransparencyLogPubKeys
}

// orElse returns m with what it lacks taken from other.
func (m material) orElse(other material) material {
	if m.roots == nil {
		m.roots, m.intermediates = other.roots, other.intermediates
	}
	if m.rekor == nil {
		m.rekor = other.rekor
	}
	if m.ctLog == nil {
		m.ctLog = other.ctLog
	}
	return m
}

// suffices reports whether m has all that p needs.
func (m material) suffices(p *trustPolicy) bool {
	return (!p.keyless || m.roots != nil && (!p.ctLog || m.ctLog != nil)) && (p.log == nil || m.rekor != nil)
}

// environment returns the material of p that the environment gives. What p does not need is not read.
func environment(p *trustPolicy) (m material, err error) {
	if path := os.Getenv(envRootFile); path != "" && p.keyless {
		if m.roots, m.intermediates, err = readAuthorities(path); err != nil {
			return m, environmentError(p, envRootFile, err)
		}
	}
	if path := os.Getenv(envRekorKey); path != "" && p.log != nil {
		if m.rekor, err = readLogKeys(path); err != nil {
			return m, environmentError(p, envRekorKey, err)
		}
		for _, key := range m.rekor.Keys {
			if _, ok := key.PubKey.(*ecdsa.PublicKey); !ok {
				return m, environmentError(p, envRekorKey, fmt.Errorf("%s: a key of type %T; transparency logs sign with ECDSA", path, key.PubKey))
			}
		}
	}
	if path := os.Getenv(envCTLogKey); path != "" && p.keyless && p.ctLog {
		if m.ctLog, err = readLogKeys(path); err != nil {
			return m, environmentError(p, envCTLogKey, err)
		}
	}
	if !m.suffices(p) {
		if _, err := tufOptions(); err != nil {
			return m, configErrorf(p.field, "needs Sigstore's trust root: %w", err)
		}
	}
	return m, nil
}

func environmentError(p *trustPolicy, variable string, err error) error {
	return configErrorf(p.field, "needs what the environment variable %s names: %w", variable, err)
}

// readAuthorities returns the certificates in a file, those that name themselves as their issuer as roots. Intermediates are nil when there are
// none, so that those of a signature are used.
func readAuthorities(path string) (roots, intermediates *x509.CertPool, err error) {
	certs, err := pemfile.ReadCertificates(path)
	if err != nil {
		return nil, nil, err
	}
	for _, cert := range certs {
		pool := &intermediates
		if bytes.Equal(cert.RawSubject, cert.RawIssuer) {
			pool = &roots
		}
		if *pool == nil {
			*pool = x509.NewCertPool()
		}
		(*pool).AddCert(cert)
	}
	if roots == nil {
		return nil, nil, fmt.Errorf("%s: none of its certificates is a root's", path)
	}
	return roots, intermediates, nil
}

// readLogKeys returns the public keys of logs in a file, by the logs' identifiers.
func readLogKeys(path string) (*cosign.TrustedTransparencyLogPubKeys, error) {
	publics, err := publicKeysIn(path)
	if err != nil {
		return nil, err
	}
	keys := cosign.NewTrustedTransparencyLogPubKeys()
	for _, public := range publics {
		id, err := cosign.GetTransparencyLogID(public) // RFC 6962, section 3.2
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		keys.Keys[id] = cosign.TransparencyLogPubKey{PubKey: public, Status: tuf.Active}
	}
	return &keys, nil
}

// materialOf returns the material in a trusted root. Intermediates are nil when there are none, so that those of a signature are used.
func materialOf(trusted root.TrustedMaterial) material {
	m := material{roots: x509.NewCertPool()} // never nil, which would mean those of this machine
	for _, authority := range trusted.FulcioCertificateAuthorities() {
		if fulcio, ok := authority.(*root.FulcioCertificateAuthority); ok {
			m.roots.AddCert(fulcio.Root)
			for _, cert := range fulcio.Intermediates {
				if m.intermediates == nil {
					m.intermediates = x509.NewCertPool()
				}
				m.intermediates.AddCert(cert)
			}
		}
	}
	m.rekor, m.ctLog = logKeys(trusted.RekorLogs()), logKeys(trusted.CTLogs())
	return m
}

// logKeys returns the keys of logs by the logs' identifiers, retired logs' too: what is in them stays there.
func logKeys(logs map[string]*root.TransparencyLog) *cosign.TrustedTransparencyLogPubKeys {
	keys := cosign.NewTrustedTransparencyLogPubKeys()
	for id, log := range logs {
		keys.Keys[id] = cosign.TransparencyLogPubKey{PubKey: log.PublicKey, Status: tuf.Active}
	}
	return &keys
}
