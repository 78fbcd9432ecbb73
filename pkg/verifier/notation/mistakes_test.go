package notation

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestPolicyMistakes makes one mistake in a document of two statements, the first of which is right.
func TestPolicyMistakes(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	const first, second = "trustPolicyDoc.trustPolicies[0]", "trustPolicyDoc.trustPolicies[1]"
	statement := func(name, scopes, verification, stores, identities string) string {
		return fmt.Sprintf(`{"name":%q,"registryScopes":[%s],"signatureVerification":{%s},"trustStores":[%s],"trustedIdentities":[%s]}`,
			name, scopes, verification, stores, identities)
	}
	scope := func(scopes string) string { return statement("b", scopes, `"level":"strict"`, `"ca:certs"`, `"*"`) }
	verification := func(v string) string { return statement("b", `"a.b/c"`, v, `"ca:certs"`, `"*"`) }
	store := func(stores string) string { return statement("b", `"a.b/c"`, `"level":"strict"`, stores, `"*"`) }
	identity := func(identities string) string {
		return statement("b", `"a.b/c"`, `"level":"strict"`, `"ca:certs"`, identities)
	}
	const dn = "x509.subject:C=US,ST=WA,O=Notation"
	tests := []struct{ name, second, field, words string }{
		{"no name", statement("", `"a.b/c"`, `"level":"strict"`, `"ca:certs"`, `"*"`), second, "missing a name"},
		{"same name", statement("a", `"a.b/c"`, `"level":"strict"`, `"ca:certs"`, `"*"`), "trustPolicyDoc", `same name "a"`},

		{"no scope", scope(""), second, "zero registry scopes"},
		{"scope with a tag", scope(`"a.b/d","a.b/c:v1"`), second + ".registryScopes[1]", "without the scheme, protocol or tag"},
		{"scope with a digest", scope(`"a.b/c@sha256:0"`), second + ".registryScopes[0]", "is not valid"},
		{"scope with a scheme", scope(`"https://a.b/c"`), second + ".registryScopes[0]", "without the scheme, protocol or tag"},
		{"scope of a registry", scope(`"a.b"`), second + ".registryScopes[0]", "fully qualified repository"},
		{"scope with a wildcard", scope(`"a.b/*"`), second + ".registryScopes[0]", "with wild card(s)"},
		{"empty scope", scope(`""`), second + ".registryScopes[0]", "is not valid"},
		{"* and others", scope(`"*","a.b/c"`), second, "wildcard registry scope '*'"},
		{"* twice", scope(`"*"`), "trustPolicyDoc", `registry scope "*" is present in multiple`},
		{"scope twice in one", scope(`"a.b/c","a.b/c"`), second, `registry scope "a.b/c" is present in multiple`},

		{"no level", verification(`"override":{"expiry":"log"}`), second + ".signatureVerification", "level is empty or missing"},
		{"wrong level", verification(`"level":"Strict"`), second + ".signatureVerification", `invalid signature verification level "Strict"`},
		{"unknown check", verification(`"level":"strict","override":{"revoked":"log"}`), second + ".signatureVerification", `"revoked"`},
		{"unknown action", verification(`"level":"strict","override":{"revocation":"warn"}`), second + ".signatureVerification", `"warn"`},
		{"integrity overridden", verification(`"level":"strict","override":{"integrity":"log"}`), second + ".signatureVerification", "can not be overridden"},
		{"authenticity skipped", verification(`"level":"strict","override":{"authenticity":"skip"}`), second + ".signatureVerification", "can not be skipped"},
		{"skip overridden", verification(`"level":"skip","override":{"expiry":"log"}`), second + ".signatureVerification", "can't be used to customize"},
		{"skip with stores", verification(`"level":"skip"`), second, "set to skip signature verification but configured with"},
		{"verifyTimestamp", verification(`"level":"strict","verifyTimestamp":"never"`), second, `verifyTimestamp must be "always" or "afterCertExpiry"`},

		{"no store", store(""), second, "missing trust stores or trusted identities"},
		{"store without a type", store(`"ca:certs","certs"`), second + ".trustStores[1]", "malformed trust store value"},
		{"store of an unknown type", store(`"CA:certs"`), second + ".trustStores[0]", `unsupported trust store type "CA"`},
		{"store without a name", store(`"ca:"`), second + ".trustStores[0]", "unsupported trust store name"},
		{"unknown store", store(`"ca:certs","ca:cert"`), second + ".trustStores[1]", "ca:cert, which does not exist"},
		{"unknown tsa store", store(`"ca:certs","tsa:certs"`), second + ".trustStores[1]", "tsa:certs, which does not exist"},
		{"empty store", store(`"ca:empty"`), second + ".trustStores[0]", "has no certificates"},
		{"store without certificates", store(`"ca:none"`), "verificationCertStores.ca.none", "there is no certificate at all"},
		{"store of leaves", store(`"signingAuthority:leaves"`), "verificationCertStores.signingAuthority.leaves", "neither a CA's nor self-signed"},
		{"store of heavy keys", store(`"signingAuthority:heavy"`), "verificationCertStores.signingAuthority.heavy", "RSA key of 16384 bits"},

		{"no identity", identity(""), second, "missing trust stores or trusted identities"},
		{"empty identity", identity(`""`), second + ".trustedIdentities[0]", "empty trusted identity"},
		{"* and an identity", identity(`"*","` + dn + `"`), second, "a wildcard identity cannot be used in conjunction"},
		{"identity without a prefix", identity(`"C=US,ST=WA,O=Notation"`), second + ".trustedIdentities[0]", "missing separator"},
		{"identity with a misspelt prefix", identity(`"X509.Subject:C=US,ST=WA,O=Notation"`), second + ".trustedIdentities[0]", `exactly "x509.subject" is meant`},
		{"identity with a blank before the colon", identity(`"x509.subject :C=US,ST=WA,O=Notation"`), second + ".trustedIdentities[0]", `exactly "x509.subject"`},
		{"identity without a name", identity(`"x509.subject:"`), second + ".trustedIdentities[0]", "without an identity value"},
		{"identity that is no name", identity(`"x509.subject:Notation"`), second + ".trustedIdentities[0]", "parsing distinguished name"},
		{"identity without a country", identity(`"` + dn + `","x509.subject:ST=WA,O=Notation"`), second + ".trustedIdentities[1]", `mandatory RDN attribute for "C"`},
		{"identity without a state", identity(`"x509.subject:C=US,O=Notation"`), second + ".trustedIdentities[0]", `mandatory RDN attribute for "ST"`},
		{"identity without an organization", identity(`"x509.subject:C=US,ST=WA"`), second + ".trustedIdentities[0]", `mandatory RDN attribute for "O"`},
		{"identity in small letters", identity(`"x509.subject:c=US,st=WA,o=Notation"`), second + ".trustedIdentities[0]", `mandatory RDN attribute for "C"`},
		{"identity with a multi-valued RDN", identity(`"` + dn + `,CN=a+OU=b"`), second + ".trustedIdentities[0]", "remove multi-valued RDN attributes as they are not supported"},
		{"identity with two OUs", identity(`"` + dn + `,OU=a,OU=b"`), second + ".trustedIdentities[0]", `duplicate RDN attribute for "OU"`},
		{"identity with a value in hexadecimal", identity(`"x509.subject:C=US,ST=WA,O=#0401"`), second + ".trustedIdentities[0]", `"=#"`},
		{"identity by mail", identity(`"` + dn + `,E=a@example.com"`), second + ".trustedIdentities[0]", `has the attribute "E", which certificates are not compared by`},
		{"identity by a number", identity(`"` + dn + `,2.5.4.97=x"`), second + ".trustedIdentities[0]", `"2.5.4.97"`},
		{"identities that overlap", identity(`"` + dn + `,CN=a","` + dn + `"`), second, "overlapping x509 trustedIdentities"},
	}
	root := newRoot(t, "root")
	material := providers{"roots": {root.cert}, "leaves": {issue(t, root, "leaf", newKey(t)).cert}, "none": nil, "heavy": {heavyCertificate(t)}}
	parameters := func(second string) string {
		return `{"name":"n","artifactTypes":"*",
			"verificationCertStores":{"ca":{"certs":["roots"],"empty":[],"none":["none"]},"signingAuthority":{"leaves":["leaves"],"heavy":["heavy"]}},
			"trustPolicyDoc":{"version":"1.0","trustPolicies":[` + statement("a", `"*"`, `"level":"strict"`, `"ca:certs"`, `"*"`) + "," + second + `]}}`
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(t.Context(), parse(t, parameters(tt.second)), Options{KeyMaterial: material, Log: quiet()})
			mistake, ok := errors.AsType[*ConfigError](err)
			if !ok {
				t.Fatalf("New() = %v, want a ConfigError", err)
			}
			if mistake.Field != tt.field || !strings.Contains(err.Error(), tt.words) || strings.Contains(err.Error(), first) {
				t.Errorf("field %q, error %q;\nwant field %q and %q", mistake.Field, err, tt.field, tt.words)
			}
		})
	}
	for _, right := range []string{
		identity(`"x509.subject: CN=wabbit-networks.io,O=Notation,L=Seattle,ST=WA,C=US"`), identity(`"x509.subject:C=US,S=WA,O=Notation\\, Inc."`),
		identity(`"x509.subject:C=US,ST=WA,O=Notation\\2C Inc.,OU=a,STREET=b,POSTALCODE=c,SERIALNUMBER=d"`), identity(`"plugin.identity:x"`),
		scope(`"localhost:5000/c"`), store(`"ca:certs","ca:certs"`), verification(`"level":"audit","override":{"revocation":"skip"},"verifyTimestamp":"always"`),
	} {
		if _, err := New(t.Context(), parse(t, parameters(right)), Options{KeyMaterial: material, Log: quiet()}); err != nil {
			t.Errorf("%s: %v", right, err)
		}
	}
}

// TestTooMuch has parameters that would keep a configuration from being loaded for minutes, or take the memory of others.
func TestTooMuch(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	list := func(n int, format string) string {
		var items []string
		for i := range n {
			items = append(items, fmt.Sprintf(format, i))
		}
		return strings.Join(items, ",")
	}
	material := providers{"roots": {newRoot(t, "root").cert}}
	parameters := func(stores, used, identities string) string {
		return `{"name":"n","artifactTypes":"*","verificationCertStores":{"ca":{` + stores + `}},"trustPolicyDoc":{"version":"1.0","trustPolicies":[
			{"name":"a","registryScopes":["*"],"signatureVerification":{"level":"strict"},"trustStores":[` + used + `],"trustedIdentities":[` + identities + `]}]}}`
	}
	const store, identity = `"s%d":["roots"]`, `"x509.subject:C=US,ST=WA,O=Notation,CN=%d"`
	const policy = "trustPolicyDoc.trustPolicies[0]"
	for name, tt := range map[string]struct{ parameters, field string }{
		"all that is allowed": {parameters(list(maxStores, store), list(maxStores, `"ca:s%d"`), list(maxIdentities, identity)), ""},
		"identities":          {parameters(list(1, store), `"ca:s0"`, list(maxIdentities+1, identity)), policy + ".trustedIdentities"},
		"stores":              {parameters(list(maxStores+1, store), list(maxStores+1, `"ca:s%d"`), `"*"`), policy + ".trustStores[64]"},
		"providers":           {parameters(`"s":["roots"`+strings.Repeat(`,"roots"`, maxProviders)+"]", `"ca:s"`, `"*"`), "verificationCertStores.ca.s"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(t.Context(), parse(t, tt.parameters), Options{KeyMaterial: material, Log: quiet()})
			mistake, _ := errors.AsType[*ConfigError](err)
			if tt.field == "" && err != nil || tt.field != "" && (mistake == nil || mistake.Field != tt.field) {
				t.Errorf("New() = %v, want a mistake at %q", err, tt.field)
			}
		})
	}
}

// TestWarnings has parameters that are right but do not do what they seem to.
func TestWarnings(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	now := time.Now()
	expired := issue(t, nil, "expired", newKey(t), asCA, valid(now.AddDate(-2, 0, 0), now.AddDate(-1, 0, 0)))
	future := issue(t, nil, "future", newKey(t), asCA, valid(now.AddDate(1, 0, 0), now.AddDate(2, 0, 0)))
	root := newRoot(t, "root")
	leaf := issue(t, root, "leaf", newKey(t))
	material := providers{"roots": {root.cert}, "mixed": {root.cert, expired.cert, future.cert, leaf.cert}}
	timestamp := strings.Replace(level("strict"), `"level":"strict"`, `"level":"strict","verifyTimestamp":"afterCertExpiry"`, 1)
	tests := []struct {
		name, parameters string
		words            []string // none: no warning
	}{
		{"nothing", level("strict"), nil},
		{"verifyTimestamp without a tsa store", timestamp, []string{"verifyTimestamp has no effect", "trustPolicies[0].signatureVerification.verifyTimestamp"}},
		{"a store that no policy uses", stores(`{"ca":{"x":["roots"]},"tsa":{"y":["roots"]}}`, `"ca:x"`), []string{"no trust policy uses", "verificationCertStores.tsa.y"}},
		{"certificates of no use", stores(`{"x":["mixed"]}`, `"ca:x"`), []string{
			"CN=leaf,O=Example,ST=ZJ,C=CN is neither", "trust anchor has expired", "CN=expired", stamp(expired.cert.NotAfter),
			"trust anchor is not valid yet", "CN=future", stamp(future.cert.NotBefore)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			if _, err := New(t.Context(), parse(t, tt.parameters), Options{KeyMaterial: material, Log: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
				t.Fatal(err)
			}
			if len(tt.words) == 0 && log.Len() > 0 {
				t.Errorf("log: %s", &log)
			}
			for _, word := range tt.words {
				if !strings.Contains(log.String(), word) {
					t.Errorf("log %s does not say %q", &log, word)
				}
			}
		})
	}
}
