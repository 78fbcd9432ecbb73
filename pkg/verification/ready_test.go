package verification

import (
	"errors"
	"strings"
	"testing"

	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"
)

// A cluster whose namespaces have all that there is is ready with the first of them. One that cannot use what it has is not.
func TestReady(t *testing.T) {
	whole := Scope{Stores: []referrerstore.ReferrerStore{newGraph()}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{&fates{}}}
	stores, policy, verifiers := Scope{Stores: whole.Stores}, Scope{Policy: whole.Policy}, Scope{Verifiers: whole.Verifiers}
	broken := Scope{Stores: whole.Stores, Verifiers: whole.Verifiers, Err: errors.New("policy: no such rule")}
	for name, tt := range map[string]struct {
		cluster    Scope
		namespaces map[string]Scope
		want       string
	}{
		"cluster":                           {whole, nil, ""},
		"nothing":                           {Scope{}, nil, "no store is configured"},
		"one namespace":                     {Scope{}, map[string]Scope{"team": whole}, ""},
		"one of two namespaces":             {Scope{}, map[string]Scope{"team": whole, "other": verifiers}, ""},
		"a namespace with a part":           {Scope{}, map[string]Scope{"team": stores}, "no store is configured"},
		"a namespace completes the cluster": {Scope{Stores: whole.Stores, Policy: whole.Policy}, map[string]Scope{"team": verifiers}, ""},
		"a namespace does not complete the cluster":   {stores, map[string]Scope{"team": policy}, "no verifier is configured"},
		"a namespace cannot use its policy":           {Scope{}, map[string]Scope{"team": broken}, "no store is configured"},
		"a namespace of a usable one cannot":          {whole, map[string]Scope{"team": broken}, ""},
		"the cluster cannot use its policy":           {broken, nil, "no such rule"},
		"the cluster cannot, a namespace is complete": {broken, map[string]Scope{"team": whole}, "no such rule"},
	} {
		e := NewEngine(Options{})
		e.Load(NewSnapshot(1, tt.cluster, SnapshotOptions{Namespaces: tt.namespaces}))
		said := ""
		if err := e.Ready(); err != nil {
			said = err.Error()
		}
		if said != tt.want && (tt.want == "" || !strings.Contains(said, tt.want)) {
			t.Errorf("%s: %q, want %q", name, said, tt.want)
		}
	}
}
