package verification

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	policyfactory "github.com/ratify-project/ratify/pkg/policyprovider/factory"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"
)

// What the engine costs around stores and verifiers, which cost nothing here: for a verdict that it remembers, and for one that it does not.
func BenchmarkVerify(b *testing.B) {
	for _, of := range []struct {
		name string
		ttl  time.Duration
	}{{"remembered", time.Hour}, {"new", 0}} {
		b.Run(of.name, func(b *testing.B) {
			policy, err := policyfactory.CreatePolicyProviderFromConfig(policyconfig.PoliciesConfig{PolicyPlugin: policyconfig.PolicyPluginConfig{
				"name": "configPolicy", "artifactVerificationPolicies": map[string]any{signature: "any"}}})
			if err != nil {
				b.Fatal(err)
			}
			g := newGraph()
			image := digest.FromString("image")
			g.attach(image, signature, "good")
			e := NewEngine(Options{VerdictTTL: of.ttl})
			e.Load(NewSnapshot(1, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: policy,
				Verifiers: []verifier.ReferenceVerifier{&fates{name: "notation", artifactType: signature}}}, SnapshotOptions{}))
			b.ReportAllocs()
			for b.Loop() {
				if v := e.Verify(b.Context(), "", repo+"@"+image.String()); v.Outcome != Verified {
					b.Fatal(v.Err)
				}
			}
		})
	}
}
