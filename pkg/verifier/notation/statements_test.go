package notation

import (
	"fmt"
	"strings"
	"testing"
)

// TestStatements finds for each path what notation-go finds, the first time and again.
func TestStatements(t *testing.T) {
	policies, err := parsePolicies([]byte(`{"version":"1.0","trustPolicies":[
		{"name":"any","registryScopes":["*"],"signatureVerification":{"level":"skip"}},
		{"name":"team","registryScopes":["registry.example.com/team/app","localhost:5000/app"],"signatureVerification":{"level":"permissive"},
			"trustStores":["ca:x"],"trustedIdentities":["*"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStatements(policies)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"registry.example.com/team/app":  "team permissive",
		"localhost:5000/app":             "team permissive",
		"registry.example.com/team/app2": "any skip",
		"registry.example.com/team":      "any skip",
		"registry.example.com/Team/app":  "", // no name of a repository
		"[::1]:5000/app":                 "", // notation-go takes no such host
		"app":                            "",
		"*":                              "",
		"":                               "",
		"registry.example.com/a@b":       "",
	} {
		reference := path + "@sha256:" + strings.Repeat("0", 64)
		if policy, err := policies.GetApplicableTrustPolicy(reference); err == nil != (want != "") || err == nil && !strings.HasPrefix(want, policy.Name+" ") {
			t.Errorf("notation-go finds %v, %v for %q, want %q", policy, err, path, want)
		}
		for range 2 {
			got := ""
			if found := s.of(path); found != nil {
				got = found.Name + " " + found.level
			}
			if got != want {
				t.Errorf("policy for %q: %q, want %q", path, got, want)
			}
		}
	}
	for i := range maxPaths {
		s.of(fmt.Sprintf("registry.example.com/%d", i))
	}
	if n := s.byPath.Len(); n != maxPaths {
		t.Errorf("%d paths, want %d", n, maxPaths)
	}
}
