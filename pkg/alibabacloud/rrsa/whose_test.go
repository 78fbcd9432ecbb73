package rrsa

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// jwt returns a token with claims, which nobody signed.
func jwt(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// Sessions are whose the token is: a renewed one is of the same, and any other role, service account or endpoint is another.
func TestWhose(t *testing.T) {
	const good = `"iss":"https://issuer","sub":"system:serviceaccount:ratify:ratify-admin","aud":["sts.aliyuncs.com"]`
	token := filepath.Join(t.TempDir(), "token")
	whose := func(t *testing.T, claims string, edit func(*Config)) string {
		t.Helper()
		p := newProvider(t, nil, edit)
		p.cfg.Endpoint, p.cfg.TokenFile = "sts.aliyuncs.com", token // which are others for each test server
		if edit != nil {
			edit(&p.cfg)
		}
		writeFile(t, p.cfg.TokenFile, jwt("{"+claims+"}")+"\n")
		got, err := p.Whose()
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	first := whose(t, good+`,"exp":1,"jti":"a"`, nil)
	if renewed := whose(t, good+`,"exp":2,"jti":"b"`, nil); renewed != first {
		t.Errorf("a renewed token is of %s, the first was of %s", renewed, first)
	}
	for name, other := range map[string]string{
		"issuer":    whose(t, strings.Replace(good, "https://issuer", "https://other", 1), nil),
		"subject":   whose(t, strings.Replace(good, "ratify-admin", "default", 1), nil),
		"audience":  whose(t, strings.Replace(good, `["sts.aliyuncs.com"]`, `["sts.aliyuncs.com","more"]`, 1), nil),
		"role":      whose(t, good, func(c *Config) { c.RoleARN += "-2" }),
		"OIDC":      whose(t, good, func(c *Config) { c.OIDCProviderARN += "-2" }),
		"session":   whose(t, good, func(c *Config) { c.SessionName = "other" }),
		"endpoint":  whose(t, good, func(c *Config) { c.Endpoint = "sts.cn-beijing.aliyuncs.com" }),
		"separator": whose(t, strings.Replace(good, `"https://issuer"`, `"https://issuer\",\"x"`, 1), nil),
		"token":     whose(t, good, func(c *Config) { c.TokenFile += "-2" }), // that says the same, which anybody can write
		"byte":      whose(t, strings.Replace(good, "ratify-admin", "ratify-admin\xff", 1), nil),
	} {
		if other == first {
			t.Errorf("another %s has the same sessions", name)
		}
	}
}

// Claims that differ are another's, however alike decoders may find them, and what is named like a claim is none.
func TestWhoseClaims(t *testing.T) {
	const good = `"iss":"i","sub":"s","aud":"a"`
	seen := make(map[string]string)
	for _, claims := range []string{
		good, `"iss":"i","sub":"s","aud":["a"]`, `"iss":"i","sub":"s","aud":["a","b"]`, `"iss":"i","sub":"s","aud":["a,b"]`, `"iss":"i","sub":"s","aud":["a\",\"b"]`,
		`"iss":"is","sub":"s","aud":"a"`, `"iss":"i","sub":"ss","aud":"a"`, `"iss":"i","sub":"s\u0000","aud":"a"`, `"iss":"i","sub":"s\ud800","aud":"a"`,
		`"iss":"i","sub":"s\ud801","aud":"a"`, "\"iss\":\"i\",\"sub\":\"s\xfe\",\"aud\":\"a\"", "\"iss\":\"i\",\"sub\":\"s\xff\",\"aud\":\"a\"",
	} {
		c, err := readClaims(jwt("{" + claims + "}"))
		if err != nil {
			t.Errorf("%s: %v", claims, err)
		}
		text := fmt.Sprintf("%q", c)
		if other, ok := seen[text]; ok {
			t.Errorf("%q and %q are of the same", claims, other)
		}
		seen[text] = claims
	}
	plain, err := readClaims(jwt("{" + good + "}"))
	for _, more := range []string{`"SUB":"other"`, `"Iss":"other"`, `"aUd":"other"`, `"\u017fub":"other"`} { // the last is a long s
		if c, moreErr := readClaims(jwt("{" + good + "," + more + "}")); err != nil || moreErr != nil || !slices.Equal(c, plain) {
			t.Errorf("%s counts: %s, %v", more, c, moreErr)
		}
	}
}

// A token that does not say whose it is is an error that quotes nothing of it.
func TestWhoseUnknown(t *testing.T) {
	for name, token := range map[string]string{
		"no token":      "hush",
		"no base64":     "a.hush hush.b",
		"no JSON":       "a.aHVzaA.b",
		"no object":     jwt(`["hush"]`),
		"no issuer":     jwt(`{"sub":"hush","aud":"a"}`),
		"no subject":    jwt(`{"iss":"hush","aud":"a"}`),
		"no audience":   jwt(`{"iss":"hush","sub":"a"}`),
		"empty":         "",
		"another claim": jwt(`{"iss":1,"sub":"hush","aud":"a"}`),
		"null":          jwt(`{"iss":"hush","sub":"a","aud":null}`),
		"empty text":    jwt(`{"iss":"hush","sub":"a","aud":""}`),
		"empty list":    jwt(`{"iss":"hush","sub":"a","aud":[]}`),
		"an empty one":  jwt(`{"iss":"hush","sub":"a","aud":["b",""]}`),
		"a number":      jwt(`{"iss":"hush","sub":"a","aud":9007199254740993}`),
		"numbers":       jwt(`{"iss":"hush","sub":"a","aud":[1]}`),
		"an object":     jwt(`{"iss":"hush","sub":"a","aud":{}}`),
		"a list":        jwt(`{"iss":"a","sub":["hush"],"aud":"a"}`),
		"another case":  jwt(`{"ISS":"hush","sub":"a","aud":"a"}`),
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, nil, nil)
			writeFile(t, p.cfg.TokenFile, token)
			if got, err := p.Whose(); err == nil || strings.Contains(err.Error(), "hush") {
				t.Errorf("Whose() = %q, %v", got, err)
			}
		})
	}
}

func FuzzReadClaims(f *testing.F) {
	f.Add(jwt(`{"iss":"a","sub":"b","aud":["c"]}`))
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := readClaims(token); err == nil && (len(c) != 3 || slices.Contains(c, "") || slices.Contains(c, `""`)) {
			t.Errorf("%q is of %s", token, c)
		}
	})
}
