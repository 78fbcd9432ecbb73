package verification

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/policyprovider"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	_ "github.com/ratify-project/ratify/pkg/policyprovider/configpolicy"
	policyfactory "github.com/ratify-project/ratify/pkg/policyprovider/factory"
	_ "github.com/ratify-project/ratify/pkg/policyprovider/regopolicy"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
)

const (
	signature = "application/vnd.cncf.notary.signature"
	sbom      = "application/spdx+json"
	repo      = "registry.example.com/app"
)

var errDown = errors.New("registry is down")

// graph is a store: the referrers of each subject by digest. What a verifier finds out about a referrer is written in its
// annotations, so that a test is one line of words.
type graph struct {
	mu        sync.Mutex
	tags      map[string]digest.Digest
	referrers map[digest.Digest][]ocispecs.ReferenceDescriptor
	blobErr   error
	resolves  int
	closed    atomic.Int32
}

func newGraph() *graph {
	return &graph{tags: map[string]digest.Digest{}, referrers: map[digest.Digest][]ocispecs.ReferenceDescriptor{}}
}

// attach adds a referrer of artifactType whose verification has the given fate: good, bad, error, panic, unread or malformed.
func (g *graph) attach(subject digest.Digest, artifactType, fate string) digest.Digest {
	g.mu.Lock()
	defer g.mu.Unlock()
	d := digest.FromString(fmt.Sprint(subject, artifactType, fate, len(g.referrers[subject])))
	g.referrers[subject] = append(g.referrers[subject], ocispecs.ReferenceDescriptor{
		ArtifactType: artifactType,
		Descriptor:   oci.Descriptor{Digest: d, Annotations: map[string]string{"fate": fate}},
	})
	return d
}

func (g *graph) Name() string                        { return "graph" }
func (g *graph) GetConfig() *storeconfig.StoreConfig { return &storeconfig.StoreConfig{} }
func (g *graph) Close() error                        { g.closed.Add(1); return nil }

func (g *graph) GetSubjectDescriptor(ctx context.Context, ref common.Reference) (*ocispecs.SubjectDescriptor, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.resolves++
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d := ref.Digest
	if d == "" {
		var ok bool
		if d, ok = g.tags[ref.Tag]; !ok {
			return nil, errDown
		}
	}
	return &ocispecs.SubjectDescriptor{Descriptor: oci.Descriptor{Digest: d}}, nil
}

func (g *graph) ListReferrers(_ context.Context, ref common.Reference, artifactTypes []string, _ string, _ *ocispecs.SubjectDescriptor) (referrerstore.ListReferrersResult, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	wanted := slices.Clone(g.referrers[ref.Digest])
	if len(artifactTypes) > 0 {
		wanted = slices.DeleteFunc(wanted, func(d ocispecs.ReferenceDescriptor) bool { return !slices.Contains(artifactTypes, d.ArtifactType) })
	}
	return referrerstore.ListReferrersResult{Referrers: wanted}, nil
}

func (g *graph) GetBlobContent(context.Context, common.Reference, digest.Digest) ([]byte, error) {
	return nil, g.blobErr
}

func (g *graph) GetReferenceManifest(context.Context, common.Reference, ocispecs.ReferenceDescriptor) (ocispecs.ReferenceManifest, error) {
	return ocispecs.ReferenceManifest{}, g.blobErr
}

// fates is a verifier that does what a referrer's annotation says.
type fates struct {
	name, artifactType string
	nested             []string
	runs               atomic.Int32
	gate               chan struct{} // if not nil, waited for
}

func (f *fates) Name() string { return f.name }
func (f *fates) Type() string { return "fates" }
func (f *fates) CanVerify(_ context.Context, d ocispecs.ReferenceDescriptor) bool {
	return f.artifactType == "*" || f.artifactType == d.ArtifactType
}
func (f *fates) GetNestedReferences() []string { return f.nested }

func (f *fates) Verify(ctx context.Context, subject common.Reference, d ocispecs.ReferenceDescriptor, store referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	f.runs.Add(1)
	if f.gate != nil {
		select {
		case <-f.gate:
		case <-ctx.Done():
			return verifier.VerifierResult{}, ctx.Err()
		}
	}
	result := verifier.VerifierResult{Name: f.name, VerifierName: f.name, Message: d.Annotations["fate"]}
	switch d.Annotations["fate"] {
	case "good":
		result.IsSuccess = true
	case "bad":
	case "unread", "malformed": // like upstream's cosign verifier: a store's error becomes a failure
		_, err := store.GetBlobContent(ctx, subject, d.Digest)
		result.ErrorReason = err.Error()
	case "panic":
		panic("boom")
	default:
		return result, errDown
	}
	return result, nil
}

func policy(t *testing.T, config policyconfig.PolicyPluginConfig) policyprovider.PolicyProvider {
	t.Helper()
	p, err := policyfactory.CreatePolicyProviderFromConfig(policyconfig.PoliciesConfig{PolicyPlugin: config})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func jsonPolicy(t *testing.T, rule string) policyprovider.PolicyProvider {
	return policy(t, policyconfig.PolicyPluginConfig{"name": "configPolicy", "artifactVerificationPolicies": map[string]any{signature: rule}})
}

func regoPolicy(t *testing.T) policyprovider.PolicyProvider {
	return policy(t, policyconfig.PolicyPluginConfig{"name": "regopolicy", "policy": `package ratify.policy
default valid := false
valid { not failed; count(input.verifierReports) > 0 }
failed { [path, value] := walk(input.verifierReports); path[count(path) - 1] == "isSuccess"; value == false }`})
}

func newTestEngine(t *testing.T, o Options, scope Scope) *Engine {
	t.Helper()
	e := NewEngine(o)
	e.Load(NewSnapshot(1, scope, SnapshotOptions{}))
	return e
}

// decoded returns the reports of a verdict.
func decoded[T any](t *testing.T, v Verdict) []T {
	t.Helper()
	all := make([]T, len(v.Reports))
	for i, report := range v.Reports {
		if err := json.Unmarshal(report, &all[i]); err != nil {
			t.Fatalf("%v: %s", err, report)
		}
	}
	return all
}

// results returns those of a verdict by a JSON policy.
func results(t *testing.T, v Verdict) []verifier.VerifierResult {
	t.Helper()
	return decoded[verifier.VerifierResult](t, v)
}
