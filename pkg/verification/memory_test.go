package verification

import (
	"errors"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/ratify-project/ratify/pkg/policyprovider"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"
)

// Whatever configurations follow one another, made of the same few parts, with namespaces that come and go: the answer is the one of an engine that
// remembers nothing.
func TestWhatIsRememberedIsWhatWouldBeFoundOut(t *testing.T) {
	signed, sbomOnly := digest.FromString("signed"), digest.FromString("sbom only")
	g := newGraph()
	g.tags["v1"] = signed
	g.attach(signed, signature, "good")
	g.attach(sbomOnly, sbom, "good")
	other := newGraph() // which has no signatures
	other.tags["v1"] = sbomOnly
	stores := [][]referrerstore.ReferrerStore{{g}, {other}, {g, other}, nil}
	good, bad, failing := newTold("good", "good"), newTold("bad", "bad"), newTold("failing", "error")
	verifiers := [][]verifier.ReferenceVerifier{{good}, {bad}, {bad, good}, {good, bad}, {failing}, {listed{good.fates}}, nil}
	policies := []policyprovider.PolicyProvider{jsonPolicy(t, "any"), sbomPolicy(t), regoPolicy(t), nil}
	mistakes := []error{nil, nil, nil, errors.New("one mistake")}

	random := rand.New(rand.NewPCG(1, 2))
	scope := func() Scope {
		return Scope{Stores: pick(random, stores), Verifiers: pick(random, verifiers), Policy: pick(random, policies), Err: pick(random, mistakes)}
	}
	e := NewEngine(Options{VerdictTTL: time.Hour})
	cluster, mandatory, namespaces := scope(), Mandatory{}, map[string]Scope{}
	remembered, outcomes := 0, map[Outcome]int{}
	for n := range 1000 {
		switch random.IntN(4) { // one change at a time, most of a namespace
		case 0:
			cluster = scope()
		case 1:
			mandatory = Mandatory{Policy: random.IntN(2) == 0, Verifiers: pick(random, verifiers)}
		default:
			namespace, own := pick(random, []string{"a", "b"}), pick(random, []Scope{{}, cluster, scope()})
			if namespaces[namespace] = own; random.IntN(4) == 0 {
				delete(namespaces, namespace)
			}
		}
		o := SnapshotOptions{Namespaces: maps.Clone(namespaces), Mandatory: mandatory}
		s := NewSnapshot(uint64(n), cluster, o)
		for range 1 + random.IntN(2) { // the same one again changes nothing
			e.Load(s)
		}
		anew := newTestEngine(t, Options{}, Scope{})
		anew.Load(s)
		for _, namespace := range []string{"", "a", "b"} {
			for _, image := range []string{repo + "@" + signed.String(), repo + "@" + sbomOnly.String(), repo + ":v1", "another.example/app@" + signed.String()} {
				_, known := e.Begin().Known(namespace, image)
				got, want := e.Verify(t.Context(), namespace, image), anew.Verify(t.Context(), namespace, image)
				if got.Outcome != want.Outcome || got.Subject != want.Subject || !reflect.DeepEqual(got.Reports, want.Reports) {
					t.Fatalf("configuration %d, namespace %q, %s: %s %s, want %s %s", n, namespace, image, got.Outcome, got.Reports, want.Outcome, want.Reports)
				}
				if outcomes[got.Outcome]++; known {
					remembered++
				}
			}
		}
	}
	if remembered == 0 || outcomes[Verified] == 0 || outcomes[Refused] == 0 || outcomes[Undetermined] == 0 {
		t.Errorf("%d were remembered, outcomes %v: this tests nothing", remembered, outcomes)
	}
	t.Logf("%d were remembered, outcomes %v", remembered, outcomes)
}

func pick[T any](random *rand.Rand, all []T) T { return all[random.IntN(len(all))] }
