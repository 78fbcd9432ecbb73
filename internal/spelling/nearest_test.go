package spelling

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"ttl", "useHttp", "authProviders", "authProvider"}
	for word, want := range map[string]string{
		"authProvider":           "authProvider",
		"AUTHPROVIDERS":          "authProviders",
		"authProvder":            "authProvider",
		"usehttps":               "useHttp",
		"tll":                    "", // as near to many other words
		"password":               "",
		"":                       "",
		strings.Repeat("a", 1e6): "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%.20q: %q, want %q", word, got, want)
		}
	}
}
