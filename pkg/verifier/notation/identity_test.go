package notation

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"

	"github.com/notaryproject/notation-core-go/signature/jws"
)

var (
	oidCountry      = asn1.ObjectIdentifier{2, 5, 4, 6}
	oidState        = asn1.ObjectIdentifier{2, 5, 4, 8}
	oidOrganization = asn1.ObjectIdentifier{2, 5, 4, 10}
	oidUnit         = asn1.ObjectIdentifier{2, 5, 4, 11}
	oidCommonName   = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidMail         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
)

// rdn is a relative distinguished name of one value or of several.
func rdn(pairs ...any) pkix.RelativeDistinguishedNameSET {
	var set pkix.RelativeDistinguishedNameSET
	for i := 0; i < len(pairs); i += 2 {
		set = append(set, pkix.AttributeTypeAndValue{Type: pairs[i].(asn1.ObjectIdentifier), Value: pairs[i+1]})
	}
	return set
}

// TestIdentities signs by certificates of various subjects, and verifies by identities in various spellings.
func TestIdentities(t *testing.T) {
	root := newRoot(t, "root")
	image := imageOf("image")
	subject := func(rdns ...pkix.RelativeDistinguishedNameSET) func(*x509.Certificate) {
		der, err := asn1.Marshal(pkix.RDNSequence(append([]pkix.RelativeDistinguishedNameSET{
			rdn(oidCountry, "US"), rdn(oidState, "WA")}, rdns...)))
		if err != nil {
			t.Fatal(err)
		}
		return func(c *x509.Certificate) { c.RawSubject = der }
	}
	named := func(name pkix.Name) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.Subject = name }
	}
	wabbit := named(pkix.Name{Country: []string{"US"}, Province: []string{"WA"}, Locality: []string{"Seattle"},
		Organization: []string{"Notation"}, CommonName: "wabbit-networks.io"})
	comma := named(pkix.Name{Country: []string{"US"}, Province: []string{"WA"}, Organization: []string{`Notation, "Inc." + Co`}, CommonName: " a"})
	multiValued := subject(rdn(oidOrganization, "Notation"), rdn(oidCommonName, "a", oidUnit, "b"))
	twoUnits := subject(rdn(oidOrganization, "Notation"), rdn(oidUnit, "a"), rdn(oidUnit, "b"), rdn(oidCommonName, "c"))
	mail := subject(rdn(oidOrganization, "Notation"), rdn(oidMail, "a@example.com"))

	tests := []struct {
		name     string
		subject  func(*x509.Certificate)
		identity string
		success  bool
		words    string
	}{
		{"as the seed writes it", wabbit, "x509.subject: CN=wabbit-networks.io,O=Notation,L=Seattle,ST=WA,C=US", true, ""},
		{"without the blank", wabbit, "x509.subject:CN=wabbit-networks.io,O=Notation,L=Seattle,ST=WA,C=US", true, ""},
		{"in another order, with blanks and S", wabbit, "x509.subject: C = US, S = WA, O = Notation", true, ""},
		{"another name", wabbit, "x509.subject: CN=wabbit-networks.com,O=Notation,L=Seattle,ST=WA,C=US", false, "none of the trusted identities"},
		{"in other letters", wabbit, "x509.subject: CN=Wabbit-Networks.io,O=Notation,ST=WA,C=US", false, "none of the trusted identities"},
		{"more than the certificate has", wabbit, "x509.subject: O=Notation,ST=WA,C=US,OU=x", false, "none of the trusted identities"},
		{"escaped", comma, `x509.subject:C=US,ST=WA,O=Notation\, \"Inc.\" \+ Co,CN=\ a`, true, ""},
		{"escaped by number", comma, `x509.subject:C=US,ST=WA,O=Notation\2C \22Inc.\22 \2B Co`, true, ""},
		{"escaped, another", comma, `x509.subject:C=US,ST=WA,O=Notation\, Inc.`, false, "none of the trusted identities"},
		{"certificate with a multi-valued RDN", multiValued, "x509.subject:C=US,ST=WA,O=Notation,CN=a,OU=b", true, ""},
		{"certificate with a multi-valued RDN, another", multiValued, "x509.subject:C=US,ST=WA,O=Notation,CN=a,OU=c", false, "none of the trusted identities"},
		{"certificate with two units", twoUnits, "x509.subject:C=US,ST=WA,O=Notation", false, "cannot be compared"},
		{"certificate with two units, any signer", twoUnits, "*", true, ""},
		{"certificate with a mail address", mail, "x509.subject:C=US,ST=WA,O=Notation", false, `containing \"=#\"`},
		{"by a plugin only", wabbit, "plugin.identity:wabbit", false, "none of the trusted identities"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			leaf := issue(t, root, "leaf", newKey(t), tt.subject)
			v := newVerifier(t, withPolicy(`"registryScopes":["*"],"signatureVerification":{"level":"strict"},"trustStores":["ca:certs"],
				"trustedIdentities":["`+strings.ReplaceAll(strings.ReplaceAll(tt.identity, `\`, `\\`), `"`, `\"`)+`"]`), root.cert)
			result, err := verify(t.Context(), v, newStore(image, sign(t, leaf, image, jws.MediaTypeEnvelope)))
			if err != nil || result.IsSuccess != tt.success {
				t.Fatalf("Verify() = %+v, %v; want success %t", result, err, tt.success)
			}
			if !strings.Contains(result.Message, strings.ReplaceAll(tt.words, `\"`, `"`)) {
				t.Errorf("message %q does not say %q", result.Message, tt.words)
			}
		})
	}
}

// TestMostSpecificScope has a statement for everything, one for a repository and one below it: the name of the repository decides, and not what
// it begins with.
func TestMostSpecificScope(t *testing.T) {
	all, one, below := newRoot(t, "all"), newRoot(t, "one"), newRoot(t, "below")
	t.Setenv("HOME", t.TempDir())
	statement := func(store, scope string) string {
		return `{"name":"` + store + `","registryScopes":["` + scope + `"],"signatureVerification":{"level":"strict"},"trustStores":["ca:` + store + `"],"trustedIdentities":["*"]}`
	}
	v, err := New(t.Context(), parse(t, `{"name":"n","artifactTypes":"*","verificationCertStores":{"ca":{"all":["all"],"one":["one"],"below":["below"]}},
		"trustPolicyDoc":{"version":"1.0","trustPolicies":[`+strings.Join([]string{
		statement("below", repository+"/below"), statement("all", "*"), statement("one", repository)}, ",")+`]}}`),
		Options{KeyMaterial: providers{"all": {all.cert}, "one": {one.cert}, "below": {below.cert}}, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	image := imageOf("image")
	for path, trusted := range map[string]*identity{
		repository: one, repository + "/below": below, repository + "/below/it": all, repository + "2": all, "registry.example.com/team": all,
	} {
		for _, signer := range []*identity{all, one, below} {
			store := newStore(image, sign(t, issue(t, signer, "leaf", newKey(t)), image, jws.MediaTypeEnvelope))
			result, err := verifyIn(t.Context(), v, store, path)
			if err != nil || result.IsSuccess != (signer == trusted) {
				t.Errorf("%s signed below %s: %+v, %v", path, signer.cert.Subject, result, err)
			}
		}
	}
}
