package notation

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/notaryproject/notation-go/verifier/truststore"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
)

// keyMaterialTimeout bounds the reading of one key management provider while the configuration is loaded. Providers hold what they fetched
// in memory; the time is for one that does not.
const keyMaterialTimeout = 30 * time.Second

// maxStores limits the trust stores that the policies of one verifier use, and maxProviders what one of them is made of. Each has its own list of
// anchors, and who writes a verifier of a namespace must not decide how much memory all others have left.
const (
	maxStores    = 64
	maxProviders = 64
)

// ErrKeyMaterial marks errors of New that are not about the configuration alone: a key management provider that it names is missing, fails or
// holds no certificate that can be a trust anchor. New may succeed once that provider changes.
var ErrKeyMaterial = errors.New("key material is not available")

// KeyMaterial gives access to the certificates of key management providers.
type KeyMaterial interface {
	// Certificates returns the certificates of a provider, named as in verificationCertStores: "name" for a cluster-wide one, or
	// "namespace/name". A provider that does not exist is an error.
	Certificates(ctx context.Context, provider string) ([]*x509.Certificate, error)
}

// storeKey names a trust store, as "type:name" does in a trust policy.
type storeKey struct {
	kind truststore.Type
	name string
}

func (k storeKey) String() string { return string(k.kind) + ":" + k.name }

// trustStores are the trust stores that policies name, read once. It implements truststore.X509TrustStore.
type trustStores map[storeKey][]*x509.Certificate

// GetCertificates returns the trust anchors of a store.
func (s trustStores) GetCertificates(_ context.Context, kind truststore.Type, name string) ([]*x509.Certificate, error) {
	key := storeKey{kind, name}
	certs, ok := s[key]
	if !ok {
		return nil, truststore.TrustStoreError{Msg: fmt.Sprintf("trust store %s does not exist", key)}
	}
	return certs, nil
}

// all returns the trust anchors of all stores, in no order; one that several have is there several times.
func (s trustStores) all() []*x509.Certificate {
	return slices.Concat(slices.Collect(maps.Values(s))...)
}

// loadTrustStores reads every trust store that a policy of p names. A store that verificationCertStores defines is made of key management
// providers; any other name, of any type, stands for the certificates in the files of verificationCerts and of the default directories.
func loadTrustStores(ctx context.Context, p *parameters, o Options) (trustStores, error) {
	stores := make(trustStores)
	var fromFiles []*x509.Certificate
	for i, policy := range p.policies.TrustPolicies {
		for j, reference := range policy.TrustStores {
			kind, name, _ := strings.Cut(reference, ":") // validated with the document
			key := storeKey{truststore.Type(kind), name}
			if _, ok := stores[key]; ok {
				continue
			}
			field := fmt.Sprintf("trustPolicyDoc.trustPolicies[%d].trustStores[%d]", i, j)
			if len(stores) == maxStores {
				return nil, parameter.Errorf(field, "is one trust store too many: the policies of one verifier can use %d", maxStores)
			}
			var certs []*x509.Certificate
			var err error
			if providers := p.certStores[key.kind][key.name]; len(providers) > 0 {
				field = definitionOf(key)
				certs, err = certificatesOf(ctx, field, providers, o)
			} else {
				if !p.filesRead {
					if fromFiles, err = readCertPaths(p.certPaths); err != nil {
						return nil, err
					}
					p.filesRead = true
				}
				if certs = fromFiles; len(certs) == 0 {
					return nil, parameter.Errorf(field, "names the trust store %s, which does not exist or has no certificates: "+
						"verificationCertStores defines %s, and the files of verificationCerts hold none", key, names(p.defined()))
				}
			}
			if err != nil {
				return nil, err
			}
			anchors, dropped := trustAnchors(certs)
			if len(anchors) == 0 {
				return nil, parameter.Errorf(field, "%w: trust store %s holds no trust anchor; only certificates of CAs and self-signed ones are: %s",
					ErrKeyMaterial, key, cmp.Or(printable.Line(strings.Join(dropped, "; ")), "there is no certificate at all"))
			}
			warnOfAnchors(o.Log.With(slog.String("verifier", p.name), slog.String("trustStore", key.String())), anchors, dropped)
			stores[key] = anchors
		}
	}
	return stores, nil
}

// warnOfAnchors tells which certificates of a trust store are of no use, or not now.
func warnOfAnchors(log *slog.Logger, anchors []*x509.Certificate, dropped []string) {
	if len(dropped) > 0 {
		log.Warn("trust store leaves out certificates that are no trust anchors", slog.Any("leftOut", dropped))
	}
	now := time.Now()
	for _, anchor := range anchors {
		switch subject := slog.String("subject", printable.Line(anchor.Subject.String())); {
		case now.After(anchor.NotAfter):
			log.Warn("trust anchor has expired: only signatures with a timestamp of its life verify by it", subject, slog.String("notAfter", stamp(anchor.NotAfter)))
		case now.Before(anchor.NotBefore):
			log.Warn("trust anchor is not valid yet", subject, slog.String("notBefore", stamp(anchor.NotBefore)))
		}
	}
}

// definitionOf returns the path of the parameter that defines key in its typed form; the legacy form is read as that.
func definitionOf(key storeKey) string {
	return fmt.Sprintf("verificationCertStores.%s.%s", key.kind, key.name)
}

// defined returns the trust stores that verificationCertStores defines, in the order of their names.
func (p *parameters) defined() []storeKey {
	var keys []storeKey
	for kind, stores := range p.certStores {
		for name := range stores {
			keys = append(keys, storeKey{kind, name})
		}
	}
	slices.SortFunc(keys, func(a, b storeKey) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

// names lists trust stores, "none" if there are none.
func names(keys []storeKey) string {
	var names []string
	for _, key := range keys {
		names = append(names, key.String())
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}

// certificatesOf returns the certificates of all providers of a store; all must answer, because a store with a root less refuses images.
func certificatesOf(ctx context.Context, field string, providers []string, o Options) ([]*x509.Certificate, error) {
	if len(providers) > maxProviders {
		return nil, parameter.Errorf(field, "names %d key management providers; a trust store can be made of %d", len(providers), maxProviders)
	}
	var certs []*x509.Certificate
	for i, provider := range providers {
		field := fmt.Sprintf("%s[%d]", field, i)
		namespace, _, namespaced := strings.Cut(provider, "/")
		if namespaced && o.Namespace != "" && namespace != o.Namespace {
			return nil, parameter.Errorf(field, "key management provider %q is in another namespace than the verifier (%s); "+
				"use one of the same namespace or a cluster-wide one", provider, o.Namespace)
		}
		if o.KeyMaterial == nil {
			return nil, parameter.Errorf(field, "%w: key management provider %q cannot be used here: there are none outside a cluster; "+
				"put the certificates into files and name them in verificationCerts", ErrKeyMaterial, provider)
		}
		got, err := readProvider(ctx, o.KeyMaterial, provider)
		if err != nil {
			return nil, parameter.Errorf(field, "%w: key management provider %q: %w", ErrKeyMaterial, provider, err)
		}
		certs = append(certs, got...)
	}
	return certs, nil
}

func readProvider(ctx context.Context, material KeyMaterial, provider string) ([]*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, keyMaterialTimeout)
	defer cancel()
	return material.Certificates(ctx, provider)
}

// trustAnchors splits certs into those that may be trust anchors, each once, and descriptions of the others. See "Trust Store" in the
// specification of trust stores and trust policies.
func trustAnchors(certs []*x509.Certificate) (anchors []*x509.Certificate, dropped []string) {
	seen := make(map[string]bool, len(certs))
	for _, cert := range certs {
		if cert == nil || seen[string(cert.Raw)] {
			continue
		}
		seen[string(cert.Raw)] = true
		if err := checkKey(cert); err != nil {
			dropped = append(dropped, fmt.Sprintf("%s has %v", cert.Subject, err))
			continue
		}
		if !cert.IsCA && cert.CheckSignature(cert.SignatureAlgorithm, cert.RawTBSCertificate, cert.Signature) != nil {
			dropped = append(dropped, fmt.Sprintf("%s is neither a CA's nor self-signed, its issuer is %s", cert.Subject, cert.Issuer))
			continue
		}
		anchors = append(anchors, cert)
	}
	return anchors, dropped
}
