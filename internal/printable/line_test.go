package printable

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestLine(t *testing.T) {
	for text, want := range map[string]string{
		"CN=app,O=Example": "CN=app,O=Example",
		"a\nb\tc\u2028d":   "a b c d",
		"red \x1b[31m":     "red \ufffd[31m",
		"\xff":             "\ufffd",
		"rtl \u202e":       "rtl \ufffd",
		"签名":               "签名",
	} {
		if got := Line(text); got != want {
			t.Errorf("Line(%q) = %q, want %q", text, got, want)
		}
	}
	for _, long := range []string{strings.Repeat("x", MaxBytes+1), strings.Repeat("签", MaxBytes)} {
		got := Line(long)
		if len(got) > MaxBytes || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
			t.Errorf("%d bytes became %d: …%q", len(long), len(got), got[len(got)-8:])
		}
	}
}
