package certificate

import (
	"strings"
	"testing"
	"time"
)

func TestParseSubject(t *testing.T) {
	for text, want := range map[string]string{
		"C=CN,ST=Zhejiang,O=Example,CN=signer":               "CN=signer,O=Example,ST=Zhejiang,C=CN",
		"cn=signer, o=Example, s=Zhejiang, l=Hangzhou, c=CN": "CN=signer,O=Example,L=Hangzhou,ST=Zhejiang,C=CN",
		`C=CN,ST=浙江,O=Example\, Inc.,OU=Release`:             `OU=Release,O=Example\, Inc.,ST=浙江,C=CN`,
		"CN=signer":                                     "lacks C",
		"C=CN,O=AlibabaCloud,OU=Ack,CN=notation":        "lacks ST",
		"C=CN,ST=Zhejiang,CN=signer":                    "lacks O",
		"C=CN,ST=Zhejiang,O=Example,O=Other":            "O twice",
		"C=CN,ST=Zhejiang,S=Jiangsu,O=Example":          "ST twice",
		"C=CN,ST=Zhejiang,O=Example+CN=signer":          "+",
		"C=CN,ST=Zhejiang,O=#0403666f6f":                "hexadecimal",
		"C=China,ST=Zhejiang,O=Example":                 "two capital letters",
		"C=CN,ST=Zhejiang,O=Example,UID=7":              `"UID" is unknown`,
		"C=CN,ST=Zhejiang,O=,CN=signer":                 "O must have 1 to 64",
		"C=CN,ST=Zhejiang,O=" + strings.Repeat("x", 65): "O must have 1 to 64",
		"C=CN,ST=Zhejiang,O=Example,CN=\xff":            "is not UTF-8",
		"signer":                                        "no distinguished name",
		"":                                              "lacks C",
	} {
		subject, err := ParseSubject(text)
		got := subject.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || err == nil && got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestParseValidity(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"365d": 365 * 24 * time.Hour, "8760h": 8760 * time.Hour, "2d": 48 * time.Hour, "3650d": 3650 * 24 * time.Hour,
		"1d": 0, "3651d": 0, "0": 0, "-365d": 0, "1y": 0, "99999999999999999999d": 0, "1.5d": 0, "": 0, "d": 0,
	} {
		got, err := ParseValidity(text)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}

func FuzzParseSubject(f *testing.F) {
	f.Add("C=CN,ST=Zhejiang,O=Example,CN=signer")
	f.Add(`C=CN,ST=a\2cb,O=\ x+CN=#04`)
	f.Fuzz(func(t *testing.T, text string) {
		subject, err := ParseSubject(text)
		if err != nil {
			return
		}
		if again, err := ParseSubject(subject.String()); err != nil || again.String() != subject.String() {
			t.Errorf("%q became %q, which became %q, %v", text, subject, again, err)
		}
	})
}
