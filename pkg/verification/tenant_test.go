package verification

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/policyprovider"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"
)

func TestNamespaceUsesItsOwnKinds(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	cluster, own := &fates{name: "cluster", artifactType: signature}, &fates{name: "own", artifactType: signature}
	e := NewEngine(Options{})
	e.Load(NewSnapshot(1,
		Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{cluster}},
		SnapshotOptions{Namespaces: map[string]Scope{"team": {Verifiers: []verifier.ReferenceVerifier{own}}}}))
	for namespace, want := range map[string]string{"": "cluster", "team": "own", "another": "cluster"} {
		v := e.Verify(t.Context(), namespace, repo+"@"+subject.String())
		if got := results(t, v)[0].VerifierName; got != want {
			t.Errorf("namespace %q: verifier %s, want %s", namespace, got, want)
		}
	}
}

// told is a verifier of signatures that finds out what it is told to.
type told struct {
	*fates
	fate string
}

func newTold(name, fate string) *told {
	return &told{&fates{name: name, artifactType: signature}, fate}
}

func (v *told) Verify(ctx context.Context, subject common.Reference, d ocispecs.ReferenceDescriptor, store referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	d.Annotations = map[string]string{"fate": v.fate}
	return v.fates.Verify(ctx, subject, d, store)
}

// sbomPolicy is satisfied by images that have an SBOM only.
func sbomPolicy(t *testing.T) policyprovider.PolicyProvider {
	return policy(t, policyconfig.PolicyPluginConfig{"name": "configPolicy", "artifactVerificationPolicies": map[string]any{sbom: "any"}})
}

// What is mandatory in a case, and what the namespace has of its own.
var (
	none         = func(verifier.ReferenceVerifier) Mandatory { return Mandatory{} }
	thePolicy    = func(verifier.ReferenceVerifier) Mandatory { return Mandatory{Policy: true} }
	theVerifiers = func(cluster verifier.ReferenceVerifier) Mandatory {
		return Mandatory{Verifiers: []verifier.ReferenceVerifier{cluster}}
	}
	nothing  = func(*testing.T, verifier.ReferenceVerifier) Scope { return Scope{} }
	ownStore = func(*testing.T, verifier.ReferenceVerifier) Scope {
		return Scope{Stores: []referrerstore.ReferrerStore{newGraph()}}
	}
	ownVerifier = func(_ *testing.T, v verifier.ReferenceVerifier) Scope {
		return Scope{Verifiers: []verifier.ReferenceVerifier{v}}
	}
	ownPolicy    = func(t *testing.T, _ verifier.ReferenceVerifier) Scope { return Scope{Policy: jsonPolicy(t, "any")} }
	strictPolicy = func(t *testing.T, _ verifier.ReferenceVerifier) Scope { return Scope{Policy: sbomPolicy(t)} }
	ownBoth      = func(t *testing.T, v verifier.ReferenceVerifier) Scope {
		return Scope{Verifiers: []verifier.ReferenceVerifier{v}, Policy: jsonPolicy(t, "any")}
	}
)

// What is mandatory holds for every namespace, whatever that has of its own; what a namespace has of its own holds besides.
func TestMandatory(t *testing.T) {
	broken := errors.New("policy ratify-policy: not usable")
	for name, tt := range map[string]struct {
		// What the cluster's and the tenant's verifier find; both look at signatures only, and there may be none.
		cluster, tenant string
		mandatory       func(cluster verifier.ReferenceVerifier) Mandatory
		own             func(t *testing.T, tenants verifier.ReferenceVerifier) Scope
		clusterPolicy   string
		want            Outcome
		says            string
	}{
		"nothing is mandatory":                   {"bad", "good", none, ownVerifier, "any", Verified, "tenant"},
		"nothing of its own":                     {"bad", "good", theVerifiers, nothing, "any", Refused, "cluster"},
		"only a store of its own":                {"good", "bad", theVerifiers, ownStore, "any", Refused, ""},
		"own verifier, both good":                {"good", "good", theVerifiers, ownVerifier, "any", Verified, "tenant"},
		"own verifier, the cluster's says no":    {"bad", "good", theVerifiers, ownVerifier, "any", Refused, "cluster"},
		"own verifier says no":                   {"good", "bad", theVerifiers, ownVerifier, "any", Refused, "tenant"},
		"the cluster's could not be found out":   {"error", "good", theVerifiers, ownVerifier, "any", Undetermined, "mandatory for namespace team"},
		"own could not be found out":             {"good", "error", theVerifiers, ownVerifier, "any", Undetermined, "registry is down"},
		"own policy, verifier mandatory":         {"bad", "good", theVerifiers, ownPolicy, "any", Refused, "cluster"},
		"own policy asks for more":               {"good", "good", thePolicy, strictPolicy, "any", Refused, "cluster"},
		"own verifier, policy mandatory":         {"bad", "good", thePolicy, ownVerifier, "any", Verified, "tenant"},
		"own policy and verifier, policy strict": {"bad", "good", thePolicy, ownBoth, "strict", Refused, "tenant"},
		"own policy cannot be used":              {"good", "good", none, func(*testing.T, verifier.ReferenceVerifier) Scope { return Scope{Err: broken} }, "any", Undetermined, "not usable"},
		"the cluster's policy cannot be used":    {"good", "good", thePolicy, ownPolicy, "broken", Undetermined, "not usable"},
	} {
		t.Run(name, func(t *testing.T) {
			subject := digest.FromString("image")
			g := newGraph()
			g.attach(subject, signature, "good")
			clusters, tenants := newTold("cluster", tt.cluster), newTold("tenant", tt.tenant)
			cluster := Scope{Stores: []referrerstore.ReferrerStore{g}, Verifiers: []verifier.ReferenceVerifier{clusters}}
			switch tt.clusterPolicy {
			case "broken":
				cluster.Err = broken
			case "strict":
				cluster.Policy = sbomPolicy(t)
			default:
				cluster.Policy = jsonPolicy(t, tt.clusterPolicy)
			}
			e := NewEngine(Options{VerdictTTL: time.Minute})
			e.Load(NewSnapshot(1, cluster, SnapshotOptions{Namespaces: map[string]Scope{"team": tt.own(t, tenants)}, Mandatory: tt.mandatory(clusters)}))
			for range 2 { // found out, then remembered
				v := e.Verify(t.Context(), "team", repo+"@"+subject.String())
				said := ""
				if v.Err != nil {
					said = v.Err.Error()
				} else {
					said = results(t, v)[0].VerifierName
				}
				if v.Outcome != tt.want || !strings.Contains(said, tt.says) {
					t.Errorf("%s: %s; want %s: %s", v.Outcome, said, tt.want, tt.says)
				}
			}
		})
	}
}

// A mandatory policy that asks for more than the mandatory verifiers look at is satisfied by what the cluster's other verifiers find, as long as
// the namespace does not replace these.
func TestMandatoryPolicyIsAskedAboutAllThatIsFound(t *testing.T) {
	subject := digest.FromString("image")
	g := newGraph()
	g.attach(subject, signature, "good")
	g.attach(subject, sbom, "good")
	signatures, sboms := &fates{name: "signatures", artifactType: signature}, &fates{name: "sboms", artifactType: sbom}
	both := policy(t, policyconfig.PolicyPluginConfig{"name": "configPolicy", "artifactVerificationPolicies": map[string]any{signature: "any", sbom: "any"}})
	for name, tt := range map[string]struct {
		own  Scope
		want Outcome
	}{
		"own policy":               {Scope{Policy: jsonPolicy(t, "any")}, Verified},
		"own policy and verifiers": {Scope{Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{sboms}}, Refused},
	} {
		e := NewEngine(Options{})
		e.Load(NewSnapshot(1,
			Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: both, Verifiers: []verifier.ReferenceVerifier{signatures, sboms}},
			SnapshotOptions{Namespaces: map[string]Scope{"team": tt.own}, Mandatory: Mandatory{Verifiers: []verifier.ReferenceVerifier{signatures}, Policy: true}}))
		if v := e.Verify(t.Context(), "team", repo+"@"+subject.String()); v.Outcome != tt.want {
			t.Errorf("%s: %s %s, want %s", name, v.Outcome, v.Reports, tt.want)
		}
	}
}

// An image without any signature is told apart: the mandatory verifiers miss one.
func TestMandatorySignatureIsMissing(t *testing.T) {
	subject := digest.FromString("image")
	g := newGraph()
	g.attach(subject, sbom, "good")
	clusters, tenants := &fates{name: "cluster", artifactType: signature}, &fates{name: "tenant", artifactType: sbom}
	e := NewEngine(Options{})
	e.Load(NewSnapshot(1,
		Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{clusters}},
		SnapshotOptions{Namespaces: map[string]Scope{"team": {Verifiers: []verifier.ReferenceVerifier{tenants}}},
			Mandatory: Mandatory{Verifiers: []verifier.ReferenceVerifier{clusters}}}))
	v := e.Verify(t.Context(), "team", repo+"@"+subject.String())
	if v.Outcome != Refused || !strings.Contains(results(t, v)[0].ErrorReason, "mandatory verifier") {
		t.Errorf("%s %s", v.Outcome, v.Reports)
	}
}
