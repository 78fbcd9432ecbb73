package cosign

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/tuf"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
)

// The environment variables by which cosign takes trust material from files, instead of Sigstore's trust root.
const (
	envRootFile = "SIGSTORE_ROOT_FILE"              // certificates of Fulcio, roots and intermediates
	envRekorKey = "SIGSTORE_REKOR_PUBLIC_KEY"       // of the transparency log
	envCTLogKey = "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE" // of the certificate transparency log
)

// material is what keyless signatures and transparency logs are checked with. What is nil is not known. Authorities and logs count for the time that
// the trust root gives them, those of the environment always.
type material struct {
	authorities   []*root.FulcioCertificateAuthority
	rekor, ctLogs map[string]*root.TransparencyLog // by the logs' identifiers
}

// orElse returns m with what it lacks taken from other.
func (m material) orElse(other material) material {
	if m.authorities == nil {
		m.authorities = other.authorities
	}
	if m.rekor == nil {
		m.rekor = other.rekor
	}
	if m.ctLogs == nil {
		m.ctLogs = other.ctLogs
	}
	return m
}

// suffices reports whether m has all that p needs.
func (m material) suffices(p *trustPolicy) bool {
	return (!p.keyless || m.authorities != nil && (!p.ctLog || m.ctLogs != nil)) && (p.log == nil || m.rekor != nil)
}

// environment returns the material of p that the environment gives. What p does not need is not read.
func environment(p *trustPolicy) (m material, err error) {
	if path := os.Getenv(envRootFile); path != "" && p.keyless {
		if m.authorities, err = readAuthorities(path); err != nil {
			return m, environmentError(p, envRootFile, err)
		}
	}
	if path := os.Getenv(envRekorKey); path != "" && p.log != nil {
		if m.rekor, err = readLogKeys(path); err != nil {
			return m, environmentError(p, envRekorKey, err)
		}
		for _, log := range m.rekor {
			if _, ok := log.PublicKey.(*ecdsa.PublicKey); !ok {
				return m, environmentError(p, envRekorKey, fmt.Errorf("%s: a key of type %T; transparency logs sign with ECDSA", path, log.PublicKey))
			}
		}
	}
	if path := os.Getenv(envCTLogKey); path != "" && p.keyless && p.ctLog {
		if m.ctLogs, err = readLogKeys(path); err != nil {
			return m, environmentError(p, envCTLogKey, err)
		}
	}
	if !m.suffices(p) {
		if _, err := tufOptions(); err != nil {
			return m, parameter.Errorf(p.field, "needs Sigstore's trust root: %w", err)
		}
	}
	return m, nil
}

func environmentError(p *trustPolicy, variable string, err error) error {
	return parameter.Errorf(p.field, "needs what the environment variable %s names: %w", variable, err)
}

// readAuthorities returns the authorities in a file: each certificate that names itself as its issuer is the root of one, all others are
// intermediates.
func readAuthorities(path string) ([]*root.FulcioCertificateAuthority, error) {
	certs, err := pemfile.ReadCertificates(path)
	if err != nil {
		return nil, err
	}
	var authorities []*root.FulcioCertificateAuthority
	var intermediates []*x509.Certificate
	for _, cert := range certs {
		if bytes.Equal(cert.RawSubject, cert.RawIssuer) {
			authorities = append(authorities, &root.FulcioCertificateAuthority{Root: cert})
		} else {
			intermediates = append(intermediates, cert)
		}
	}
	if authorities == nil {
		return nil, fmt.Errorf("%s: none of its certificates is a root's", path)
	}
	authorities[0].Intermediates = intermediates
	return authorities, nil
}

// readLogKeys returns the logs whose public keys are in a file.
func readLogKeys(path string) (map[string]*root.TransparencyLog, error) {
	publics, err := publicKeysIn(path)
	if err != nil {
		return nil, err
	}
	logs := make(map[string]*root.TransparencyLog)
	for _, public := range publics {
		id, err := cosign.GetTransparencyLogID(public) // RFC 6962, section 3.2
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		logs[id] = &root.TransparencyLog{PublicKey: public}
	}
	return logs, nil
}

// materialOf returns the material in a trusted root.
func materialOf(trusted root.TrustedMaterial) material {
	m := material{rekor: trusted.RekorLogs(), ctLogs: trusted.CTLogs()}
	for _, authority := range trusted.FulcioCertificateAuthorities() {
		if fulcio, ok := authority.(*root.FulcioCertificateAuthority); ok {
			m.authorities = append(m.authorities, fulcio)
		}
	}
	return m
}

// certificatesAt returns the roots and intermediates of the authorities that count at a time. Intermediates are nil when no authority of any time
// has one, so that those of a signature are used.
func (m material) certificatesAt(t time.Time) (roots, intermediates *x509.CertPool) {
	roots = x509.NewCertPool() // never nil, which would mean those of this machine
	for _, authority := range m.authorities {
		if intermediates == nil && len(authority.Intermediates) > 0 {
			intermediates = x509.NewCertPool()
		}
		if !inPeriod(t, authority.ValidityPeriodStart, authority.ValidityPeriodEnd) {
			continue
		}
		roots.AddCert(authority.Root)
		for _, cert := range authority.Intermediates {
			intermediates.AddCert(cert)
		}
	}
	return roots, intermediates
}

// keysAt returns the keys of the logs that count at a time. Those of retired logs do for what is as old as they are.
func keysAt(logs map[string]*root.TransparencyLog, t time.Time) *cosign.TrustedTransparencyLogPubKeys {
	keys := cosign.NewTrustedTransparencyLogPubKeys()
	for id, log := range logs {
		if inPeriod(t, log.ValidityPeriodStart, log.ValidityPeriodEnd) {
			keys.Keys[id] = cosign.TransparencyLogPubKey{PubKey: log.PublicKey, Status: tuf.Active}
		}
	}
	return &keys
}

// inPeriod reports whether t is in a period. Zero stands for no limit.
func inPeriod(t, start, end time.Time) bool {
	return !t.Before(start) && (end.IsZero() || !t.After(end))
}
