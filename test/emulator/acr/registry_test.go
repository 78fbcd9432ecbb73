package acr

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for path, want := range map[string]target{
		"/v2":                                {kind: "base"},
		"/v2/":                               {kind: "base"},
		"/v2/_catalog":                       {kind: "catalog"},
		"/v2/app/manifests/v1":               {"app", "manifests", "v1"},
		"/v2/team/app/blobs/sha256:ab":       {"team/app", "blobs", "sha256:ab"},
		"/v2/team/app/blobs/uploads/":        {"team/app", "uploads", ""},
		"/v2/team/app/blobs/uploads/1-2":     {"team/app", "uploads", "1-2"},
		"/v2/team/app/tags/list":             {"team/app", "tags", "list"},
		"/v2/team/app/referrers/sha256:ab":   {"team/app", "referrers", "sha256:ab"},
		"/v2/manifests/manifests/v1":         {"manifests", "manifests", "v1"},
		"/v2/team/blobs/uploads/manifests/x": {"team/blobs/uploads", "manifests", "x"},
	} {
		if got, ok := parseTarget(path); !ok || got != want {
			t.Errorf("parseTarget(%q) = %+v, %t, want %+v", path, got, ok, want)
		}
	}
	for _, path := range []string{"", "/", "/v1/", "/v22/", "/v2/app", "/v2//manifests/v1", "/v2/app/manifests/a/b", "/v2/app/other/v1"} {
		if got, ok := parseTarget(path); ok {
			t.Errorf("parseTarget(%q) = %+v, want none", path, got)
		}
	}
}

// FuzzParseTarget checks that no path escapes authorization: everything but /v2/ itself needs a scope.
func FuzzParseTarget(f *testing.F) {
	for _, path := range []string{"/v2/", "/v2/_catalog", "/v2/a/manifests/b", "/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/x/manifests/y", "//"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, ok := parseTarget(path)
		if !ok {
			return
		}
		resource, actions := got.scope(http.MethodGet)
		if (resource == "" || len(actions) == 0) != (path == "/v2" || path == "/v2/") {
			t.Errorf("parseTarget(%q) = %+v needs %q %v", path, got, resource, actions)
		}
		if got.repository != "" && !strings.HasPrefix(path, "/v2/"+got.repository+"/") {
			t.Errorf("parseTarget(%q) finds repository %q", path, got.repository)
		}
	})
}

func TestAccess(t *testing.T) {
	tests := []struct {
		scopes []string
		owner  bool
		want   map[string][]string
	}{
		{[]string{"repository:team/app:pull,push"}, false, map[string][]string{"repository:team/app": {"pull"}}},
		{[]string{"repository:team/app:pull,push"}, true, map[string][]string{"repository:team/app": {"pull", "push"}}},
		{[]string{"repository:a:pull repository:b:pull"}, false, map[string][]string{"repository:a": {"pull"}, "repository:b": {"pull"}}},
		{[]string{"repository:a:pull", "repository:b:push"}, false, map[string][]string{"repository:a": {"pull"}}},
		{[]string{"registry:catalog:*"}, false, nil},
		{[]string{"registry:catalog:*"}, true, map[string][]string{"registry:catalog": {"*"}}},
		{[]string{"nonsense", ""}, true, nil},
		{nil, true, nil},
	}
	for _, test := range tests {
		got := access(test.scopes, test.owner)
		if len(got) != len(test.want) {
			t.Errorf("access(%q, %t) = %v, want %v", test.scopes, test.owner, got, test.want)
		}
		for resource, actions := range test.want {
			if !slices.Equal(got[resource], actions) {
				t.Errorf("access(%q, %t) = %v, want %v", test.scopes, test.owner, got, test.want)
			}
		}
	}
}

func TestDefaultID(t *testing.T) {
	for name, want := range map[string]string{
		"demo":                      "cri-demo000000000001",
		"my-registry":               "cri-myregistry000001",
		"a-very-long-instance-name": "cri-averylonginstan1",
	} {
		if got := DefaultID(name); got != want || !instanceID.MatchString(got) {
			t.Errorf("DefaultID(%q) = %s, want %s", name, got, want)
		}
	}
}
