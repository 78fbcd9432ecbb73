package notation

import (
	"cmp"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/notaryproject/notation-go/verifier/truststore"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
)

// x509Subject is the prefix of identities that are distinguished names. Others are left to verification plugins.
const x509Subject = "x509.subject"

// maxIdentities limits the trusted identities of one document. notation-go compares each with each, which takes a second for a thousand and ten
// minutes for as many as a Kubernetes resource can hold.
const maxIdentities = 500

// subjectAttributes are the attributes of a certificate's subject that notation-go compares, which are those that crypto/x509/pkix has names for,
// and S, which stands for ST.
var subjectAttributes = []string{"C", "ST", "S", "L", "O", "OU", "CN", "STREET", "POSTALCODE", "SERIALNUMBER"}

// parsePolicies reads and validates a trust policy document.
func parsePolicies(raw []byte) (*trustpolicy.Document, error) {
	const field = "trustPolicyDoc"
	if len(raw) == 0 || string(raw) == "null" {
		return nil, parameter.Errorf(field, "is missing")
	}
	var outer struct {
		Version       string            `json:"version"`
		TrustPolicies []json.RawMessage `json:"trustPolicies"`
	}
	if err := parameter.Decode(field, raw, &outer); err != nil {
		return nil, err
	}
	doc := &trustpolicy.Document{Version: outer.Version}
	identities := 0
	for i, raw := range outer.TrustPolicies {
		path := fmt.Sprintf("%s.trustPolicies[%d]", field, i)
		var policy trustpolicy.TrustPolicy
		if err := parameter.Decode(path, raw, &policy); err != nil {
			return nil, err
		}
		if identities += len(policy.TrustedIdentities); identities > maxIdentities {
			return nil, parameter.Errorf(path+".trustedIdentities", "are too many: the policies of one verifier can have %d; name fewer by what signers have in common, "+
				"such as O and OU", maxIdentities)
		}
		if err := checkPolicyStatement(path, policy); err != nil {
			return nil, err
		}
		doc.TrustPolicies = append(doc.TrustPolicies, policy)
	}
	if err := doc.Validate(); err != nil {
		return nil, parameter.Errorf(field, "%w", err)
	}
	return doc, nil
}

// checkPolicyStatement validates a statement part by part, each in one that is right otherwise, so that a mistake is found with its position,
// and then as a whole.
func checkPolicyStatement(path string, policy trustpolicy.TrustPolicy) error {
	skip := trustpolicy.TrustPolicy{
		Name: cmp.Or(policy.Name, "any"), RegistryScopes: []string{"*"},
		SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: trustpolicy.LevelSkip.Name},
	}
	strict := skip
	strict.SignatureVerification.VerificationLevel = trustpolicy.LevelStrict.Name
	strict.TrustStores, strict.TrustedIdentities = []string{"ca:any"}, []string{"*"}
	check := func(statement trustpolicy.TrustPolicy, field string, index ...any) error {
		document := trustpolicy.Document{Version: "1.0", TrustPolicies: []trustpolicy.TrustPolicy{statement}}
		if err := document.Validate(); err != nil {
			return parameter.Errorf(path+fmt.Sprintf(field, index...), "%w", err)
		}
		return nil
	}
	for i, scope := range policy.RegistryScopes {
		part := skip
		part.RegistryScopes = []string{scope}
		if err := check(part, ".registryScopes[%d]", i); err != nil {
			return err
		}
	}
	if _, err := policy.SignatureVerification.GetVerificationLevel(); err != nil {
		return parameter.Errorf(path+".signatureVerification", "%w", err)
	}
	for i, store := range policy.TrustStores {
		part := strict
		part.TrustStores = []string{store}
		if err := check(part, ".trustStores[%d]", i); err != nil {
			return err
		}
	}
	for i, identity := range policy.TrustedIdentities {
		part := strict
		part.TrustedIdentities = []string{identity}
		if err := check(part, ".trustedIdentities[%d]", i); err != nil {
			return err
		}
		if err := checkIdentity(identity); err != nil {
			return parameter.Errorf(fmt.Sprintf("%s.trustedIdentities[%d]", path, i), "%w", err)
		}
	}
	return check(policy, "")
}

// checkIdentity returns an error when an identity that notation-go takes can match no certificate.
func checkIdentity(identity string) error {
	prefix, name, _ := strings.Cut(identity, ":")
	if prefix != x509Subject {
		if strings.EqualFold(strings.TrimSpace(prefix), x509Subject) {
			return fmt.Errorf("%q begins with %q where exactly %q is meant", identity, prefix, x509Subject)
		}
		return nil
	}
	dn, err := ldap.ParseDN(name)
	if err != nil {
		return err // notation-go has parsed it with the same
	}
	for _, rdn := range dn.RDNs {
		for _, attribute := range rdn.Attributes {
			if !slices.Contains(subjectAttributes, attribute.Type) {
				return fmt.Errorf("%q has the attribute %q, which certificates are not compared by; they are by %s", identity, attribute.Type,
					strings.Join(subjectAttributes, ", "))
			}
		}
	}
	return nil
}

// comparable returns an error when the subject of a certificate equals no identity, because notation-go does not take it for a name: it must have
// a country, a state and an organization, no attribute twice, and none that needs a number.
func comparable(subject pkix.Name) error {
	document := trustpolicy.Document{Version: "1.0", TrustPolicies: []trustpolicy.TrustPolicy{{
		Name: "any", RegistryScopes: []string{"*"}, SignatureVerification: trustpolicy.SignatureVerification{VerificationLevel: trustpolicy.LevelStrict.Name},
		TrustStores: []string{"ca:any"}, TrustedIdentities: []string{x509Subject + ":" + subject.String()},
	}}}
	return document.Validate()
}

// warn tells of what is right but does not do what it seems to.
func (p *parameters) warn(log *slog.Logger) {
	log = log.With(slog.String("verifier", p.name))
	used := make(map[storeKey]bool)
	for i, policy := range p.policies.TrustPolicies {
		timestamps := false
		for _, reference := range policy.TrustStores {
			kind, name, _ := strings.Cut(reference, ":")
			used[storeKey{truststore.Type(kind), name}] = true
			timestamps = timestamps || truststore.Type(kind) == truststore.TypeTSA
		}
		if policy.SignatureVerification.VerifyTimestamp != "" && !timestamps {
			log.Warn("verifyTimestamp has no effect: the trust policy uses no trust store of type tsa",
				slog.String("field", fmt.Sprintf("trustPolicyDoc.trustPolicies[%d].signatureVerification.verifyTimestamp", i)), slog.String("trustPolicy", policy.Name))
		}
	}
	for _, key := range p.defined() {
		if !used[key] {
			log.Warn("no trust policy uses this trust store", slog.String("field", definitionOf(key)), slog.String("trustStore", key.String()))
		}
	}
}
