package certificate

import (
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// DefaultSubject is that of Alibaba Cloud's own plugin. It has no ST, so that a trust policy accepts it only with the trusted identity "*".
func DefaultSubject() pkix.Name {
	return pkix.Name{Country: []string{"CN"}, Organization: []string{"AlibabaCloud"}, OrganizationalUnit: []string{"Ack"}, CommonName: "notation"}
}

// ParseSubject reads a distinguished name as trust policies write it (RFC 4514), such as "C=CN,ST=Zhejiang,O=Example,CN=signer". It must have what
// the identities of trust policies need: a country, a state and an organization, and each attribute once.
// See https://github.com/notaryproject/specifications/blob/v1.1.0/specs/trust-store-trust-policy.md#trusted-identities-constraints.
func ParseSubject(text string) (pkix.Name, error) {
	if strings.Contains(text, "=#") {
		return pkix.Name{}, errors.New(`values in hexadecimal ("=#…") are not supported by trust policies`)
	}
	if !utf8.ValidString(text) {
		return pkix.Name{}, fmt.Errorf("%q is not UTF-8", text)
	}
	dn, err := ldap.ParseDN(text)
	if err != nil {
		return pkix.Name{}, fmt.Errorf("%q is no distinguished name such as C=CN,ST=Zhejiang,O=Example,CN=signer: %w", text, err)
	}
	var subject pkix.Name
	seen := make(map[string]bool)
	for _, rdn := range dn.RDNs {
		if len(rdn.Attributes) != 1 {
			return pkix.Name{}, fmt.Errorf("%q joins attributes with +, which trust policies do not support", text)
		}
		kind, value := strings.ToUpper(rdn.Attributes[0].Type), rdn.Attributes[0].Value
		if kind == "S" {
			kind = "ST"
		}
		if seen[kind] {
			return pkix.Name{}, fmt.Errorf("%q has %s twice", text, kind)
		}
		seen[kind] = true
		if err := set(&subject, kind, value); err != nil {
			return pkix.Name{}, err
		}
	}
	for _, kind := range []string{"C", "ST", "O"} {
		if !seen[kind] {
			return pkix.Name{}, fmt.Errorf("%q lacks %s: trusted identities of trust policies need C, ST and O", text, kind)
		}
	}
	return subject, nil
}

// set sets an attribute of subject. Lengths are the upper bounds of RFC 5280, appendix A.1.
func set(subject *pkix.Name, kind, value string) error {
	longest := 64
	switch kind {
	case "C":
		if len(value) != 2 || strings.Trim(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return fmt.Errorf("the value of C, %q, is not a country's code of two capital letters such as CN", value)
		}
		subject.Country = []string{value}
	case "ST":
		subject.Province, longest = []string{value}, 128
	case "L":
		subject.Locality, longest = []string{value}, 128
	case "O":
		subject.Organization = []string{value}
	case "OU":
		subject.OrganizationalUnit = []string{value}
	case "CN":
		subject.CommonName = value
	default:
		return fmt.Errorf("the attribute %q is unknown; known are C, ST, L, O, OU and CN", kind)
	}
	if n := utf8.RuneCountInString(value); n == 0 || n > longest {
		return fmt.Errorf("%s must have 1 to %d characters", kind, longest)
	}
	return nil
}
