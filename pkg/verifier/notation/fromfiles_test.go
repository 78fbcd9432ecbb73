package notation

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who makes verifiers keeps those that were made of key material only.
func TestFromFiles(t *testing.T) {
	root := newRoot(t, "root")
	file := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(file, toPEM(root.cert), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	withFile := func(parameters string) string {
		return strings.Replace(parameters, `"artifactTypes"`, `"verificationCerts":["`+file+`"],"artifactTypes"`, 1)
	}
	for name, tt := range map[string]struct {
		parameters string
		want       bool
	}{
		"providers":                     {stores(`{"ca":{"x":["roots"]}}`, `"ca:x"`), false},
		"files that no policy asks for": {withFile(stores(`{"ca":{"x":["roots"]}}`, `"ca:x"`)), false},
		"both":                          {withFile(stores(`{"ca":{"x":["roots"]}}`, `"ca:x","ca:y"`)), true},
		"files":                         {withFile(stores(`{}`, `"ca:y"`)), true},
	} {
		v, err := New(t.Context(), parse(t, tt.parameters), Options{KeyMaterial: providers{"roots": {root.cert}}, Log: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		if got := v.FromFiles(); got != tt.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
