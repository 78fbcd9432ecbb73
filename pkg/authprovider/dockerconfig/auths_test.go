package dockerconfig

import (
	"strings"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

func TestFind(t *testing.T) {
	const auth = `{"auth":"dXNlcjpwYXNzOndvcmQA"}` // user:pass:word, with the NUL that old versions of Docker wrote
	login := authprovider.AuthConfig{Username: "user", Password: "pass:word"}
	for name, tt := range map[string]struct {
		auths, registry string
		want            authprovider.AuthConfig
	}{
		"auth":                 {`{"registry.example.com":` + auth + `}`, "registry.example.com", login},
		"in clear":             {`{"registry.example.com":{"username":"user","password":"pass:word"}}`, "registry.example.com", login},
		"identity token":       {`{"registry.example.com":{"identitytoken":"token"}}`, "registry.example.com", authprovider.AuthConfig{IdentityToken: "token"}},
		"port":                 {`{"registry.example.com:5000":` + auth + `}`, "registry.example.com:5000", login},
		"other port":           {`{"registry.example.com:5000":` + auth + `}`, "registry.example.com", authprovider.AuthConfig{}},
		"as a URL":             {`{"https://Registry.example.com/v1/":` + auth + `}`, "registry.example.com", login},
		"Docker Hub":           {`{"https://index.docker.io/v1/":` + auth + `}`, "docker.io", login},
		"part of a registry":   {`{"registry.example.com/team":` + auth + `}`, "registry.example.com", authprovider.AuthConfig{}},
		"another host":         {`{"example.com":` + auth + `}`, "registry.example.com", authprovider.AuthConfig{}},
		"empty, then complete": {`{"registry.example.com":{},"https://registry.example.com":` + auth + `}`, "registry.example.com", login},
		"empty":                {`{"registry.example.com":{}}`, "registry.example.com", authprovider.AuthConfig{}}, // the password is in a helper
		"the name as it is": {`{"https://registry.example.com":{"username":"other","password":"x"},"registry.example.com":` + auth + `}`,
			"registry.example.com", login},
		"none": {`null`, "registry.example.com", authprovider.AuthConfig{}},
	} {
		for format, parse := range map[string]func() (Auths, error){
			"config.json": func() (Auths, error) { return Parse([]byte(`{"auths":` + tt.auths + `,"credsStore":"helper"}`)) },
			".dockercfg":  func() (Auths, error) { return ParseLegacy([]byte(tt.auths)) },
		} {
			auths, err := parse()
			if err != nil {
				t.Fatalf("%s, %s: %v", name, format, err)
			}
			if got, ok, err := auths.Find(tt.registry); err != nil || got != tt.want || ok != (tt.want != authprovider.AuthConfig{}) {
				t.Errorf("%s, %s: %+v, %t, %v", name, format, got, ok, err)
			}
		}
	}
}

// What is wrong with a configuration is told without what is in it.
func TestMistakes(t *testing.T) {
	for content, want := range map[string]string{
		`{"auths": top-secret`:                               "not the JSON",
		`{"auths":{"a":{"auth":7,"password":"top-secret"}}}`: "not the JSON",
		`{"auths":{"a":{"auth":"top-secret"}}}`:              `auth of its entry "a"`,
		`{"auths":{"a":{"auth":"dG9wLXNlY3JldA=="}}}`:        `auth of its entry "a"`, // no colon
	} {
		auths, err := Parse([]byte(content))
		if err == nil {
			_, _, err = auths.Find("a")
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "top-secret") {
			t.Errorf("%s: %v", content, err)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add([]byte(`{"auths":{"registry.example.com":{"auth":"dTpw"}}}`), "registry.example.com", false)
	f.Add([]byte(`{"https://index.docker.io/v1/":{"auth":"dTpw"}}`), "docker.io", true)
	f.Fuzz(func(t *testing.T, content []byte, registry string, legacy bool) {
		parse := Parse
		if legacy {
			parse = ParseLegacy
		}
		auths, err := parse(content)
		if err != nil {
			return
		}
		if found, ok, err := auths.Find(registry); ok != (found != authprovider.AuthConfig{}) || ok && err != nil {
			t.Errorf("%q: %+v, %t, %v", content, found, ok, err)
		}
	})
}
