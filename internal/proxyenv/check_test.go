package proxyenv

import (
	"net/http"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, name := range variables {
		t.Setenv(name, "")
	}
	for value, right := range map[string]bool{
		"":                                true,
		"http://proxy.example.com:3128":   true,
		"https://proxy.example.com":       true,
		"socks5://proxy.example.com:1080": true,
		"proxy.example.com:3128":          true,
		"http://user:hush@127.0.0.1:3128": true,
		"http://u:hush@bad host:80":       false,
		"http://u:hu%zzsh@proxy:80":       false,
		"http://":                         false,
		"://hush":                         false,
	} {
		for _, name := range variables {
			t.Setenv(name, value)
			err := Check()
			if (err == nil) != right || err != nil && (strings.Contains(err.Error(), "hush") || !strings.HasPrefix(err.Error(), name+" is not")) {
				t.Errorf("%s=%s: %v", name, value, err)
			}
			t.Setenv(name, "")
		}
	}
}

// What Check lets pass, net/http takes, too. It reads the environment once, so that there is one value to try.
func TestAsNetHTTP(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "proxy.example.com:3128")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	if u, err := http.ProxyFromEnvironment(r); err != nil || u.Host != "proxy.example.com:3128" || Check() != nil {
		t.Errorf("%v, %v", u, err)
	}
}
