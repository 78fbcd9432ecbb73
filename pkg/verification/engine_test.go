package verification

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/executor/types"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/policyprovider"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	_ "github.com/ratify-project/ratify/pkg/policyprovider/configpolicy"
	policyfactory "github.com/ratify-project/ratify/pkg/policyprovider/factory"
	_ "github.com/ratify-project/ratify/pkg/policyprovider/regopolicy"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
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

func TestOutcomes(t *testing.T) {
	tests := []struct {
		name, policy string
		fates        []string
		want         Outcome
	}{
		{"one good", "any", []string{"good"}, Verified},
		{"one bad", "any", []string{"bad"}, Refused},
		{"none", "any", nil, Refused},
		{"any: good and bad", "any", []string{"bad", "good"}, Verified},
		{"any: good whatever the other is", "any", []string{"error", "good"}, Verified},
		{"any: the other might be good", "any", []string{"error", "bad"}, Undetermined},
		{"any: error", "any", []string{"error"}, Undetermined},
		{"any: a panic is no verdict", "any", []string{"panic"}, Undetermined},
		{"any: a verifier that takes a store's error for a bad signature", "any", []string{"unread"}, Undetermined},
		{"all: good and bad", "all", []string{"good", "bad"}, Refused},
		{"all: bad whatever the other is", "all", []string{"error", "bad"}, Refused},
		{"all: the other might be bad", "all", []string{"error", "good"}, Undetermined},
		{"all: good", "all", []string{"good", "good"}, Verified},
		{"rego: good", "rego", []string{"good"}, Verified},
		{"rego: bad", "rego", []string{"good", "bad"}, Refused},
		{"rego: none", "rego", nil, Refused},
		{"rego: error", "rego", []string{"good", "error"}, Undetermined},
		{"rego: error beside bad, for the policy may read more than isSuccess", "rego", []string{"bad", "error"}, Undetermined},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := newGraph()
			g.blobErr = errDown
			subject := digest.FromString("image")
			for _, fate := range tt.fates {
				g.attach(subject, signature, fate)
			}
			scope := Scope{Stores: []referrerstore.ReferrerStore{g}, Verifiers: []verifier.ReferenceVerifier{&fates{name: "v", artifactType: signature}}}
			if tt.policy == "rego" {
				scope.Policy = regoPolicy(t)
			} else {
				scope.Policy = jsonPolicy(t, tt.policy)
			}
			v := newTestEngine(t, Options{}, scope).Verify(t.Context(), "", repo+"@"+subject.String())
			if v.Outcome != tt.want {
				t.Fatalf("outcome %s, want %s (%v, %+v)", v.Outcome, tt.want, v.Err, v.Reports)
			}
			if (v.Err != nil) != (tt.want == Undetermined) {
				t.Errorf("error %v with outcome %s", v.Err, v.Outcome)
			}
		})
	}
}

// A signature that is malformed was read: that is a fact about the image, not a failure to find out.
func TestMalformedIsRefused(t *testing.T) {
	for _, fact := range []error{artifact.ErrMalformed, artifact.ErrLimit} {
		g := newGraph()
		g.blobErr = fmt.Errorf("signature: %w", fact)
		subject := digest.FromString("image")
		g.attach(subject, signature, "malformed")
		e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"),
			Verifiers: []verifier.ReferenceVerifier{&fates{name: "v", artifactType: signature}}})
		if v := e.Verify(t.Context(), "", repo+"@"+subject.String()); v.Outcome != Refused {
			t.Errorf("%v: outcome %s, want refused", fact, v.Outcome)
		}
	}
}

func TestReportsAreInTheOrderOfReferrersAndVerifiers(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	var want []string
	for range 20 {
		want = append(want, g.attach(subject, signature, "good").String())
	}
	first, second := &fates{name: "first", artifactType: signature}, &fates{name: "second", artifactType: "*"}
	e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "all"), Verifiers: []verifier.ReferenceVerifier{first, second}})
	v := e.Verify(t.Context(), "", repo+"@"+subject.String())
	var got []string
	for _, r := range v.Reports {
		got = append(got, r.(verifier.VerifierResult).ReferenceDigest)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("reports in order\n%v\nwant\n%v", got, want)
	}
	if second.runs.Load() != 0 || first.runs.Load() != 20 {
		t.Errorf("the second verifier ran %d times, the first %d: with a JSON policy the first that can verify does", second.runs.Load(), first.runs.Load())
	}
}

func TestNested(t *testing.T) {
	for _, tt := range []struct {
		fate string
		want Outcome
	}{{"good", Verified}, {"bad", Refused}, {"error", Undetermined}} {
		for _, kind := range []string{"json", "rego"} {
			t.Run(kind+"/"+tt.fate, func(t *testing.T) {
				g := newGraph()
				subject := digest.FromString("image")
				g.attach(g.attach(subject, sbom, "good"), signature, tt.fate)
				scope := Scope{Stores: []referrerstore.ReferrerStore{g}, Verifiers: []verifier.ReferenceVerifier{
					&fates{name: "sbom", artifactType: sbom, nested: []string{signature}}, &fates{name: "notation", artifactType: signature},
				}}
				if kind == "rego" {
					scope.Policy = regoPolicy(t)
				} else {
					scope.Policy = policy(t, policyconfig.PolicyPluginConfig{"name": "configPolicy", "artifactVerificationPolicies": map[string]any{"default": "all"}})
				}
				v := newTestEngine(t, Options{}, scope).Verify(t.Context(), "", repo+"@"+subject.String())
				if v.Outcome != tt.want {
					t.Fatalf("outcome %s, want %s: %v %+v", v.Outcome, tt.want, v.Err, v.Reports)
				}
				var nested int
				switch report := v.Reports[0].(type) {
				case verifier.VerifierResult:
					nested = len(report.NestedResults)
				case types.NestedVerifierReport:
					nested = len(report.NestedReports)
				}
				if nested != 1 {
					t.Errorf("%d nested reports, want 1: %+v", nested, v.Reports)
				}
			})
		}
	}
}

func TestCycleOfReferrersEnds(t *testing.T) {
	g := newGraph()
	a, b := digest.FromString("a"), digest.FromString("b")
	link := func(from, to digest.Digest) {
		g.referrers[from] = append(g.referrers[from], ocispecs.ReferenceDescriptor{ArtifactType: sbom, Descriptor: oci.Descriptor{Digest: to, Annotations: map[string]string{"fate": "good"}}})
	}
	link(a, b)
	link(b, a)
	e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: regoPolicy(t), Verifiers: []verifier.ReferenceVerifier{&fates{name: "sbom", artifactType: sbom}}})
	if v := e.Verify(t.Context(), "", repo+"@"+a.String()); v.Outcome == Verified {
		t.Errorf("a cycle was verified: %+v", v.Reports)
	}
}

func TestTagIsResolvedFirst(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.tags["v1"] = subject
	g.attach(subject, signature, "good")
	e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{&fates{name: "v", artifactType: signature}}})
	if v := e.Verify(t.Context(), "", repo+":v1"); v.Outcome != Verified || v.Subject != repo+"@"+subject.String() {
		t.Errorf("%s %q", v.Outcome, v.Subject)
	}
	if v := e.Verify(t.Context(), "", repo+":gone"); v.Outcome != Undetermined || !errors.Is(v.Err, errDown) {
		t.Errorf("%s %v", v.Outcome, v.Err)
	}
	if pinned, err := e.Resolve(t.Context(), "", repo+":v1"); pinned != repo+":v1@"+subject.String() || err != nil {
		t.Errorf("pinned %q, %v", pinned, err)
	}
	if pinned, err := e.Resolve(t.Context(), "", repo+"@"+subject.String()); pinned != repo+"@"+subject.String() || err != nil {
		t.Errorf("a digest became %q, %v", pinned, err)
	}
}

func TestBadReferenceIsRefused(t *testing.T) {
	e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{newGraph()}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{&fates{}}})
	for _, image := range []string{"", "host.example/UPPER", "a b", "repo@sha256:short", strings.Repeat("a", 5000)} {
		if v := e.Verify(t.Context(), "", image); v.Outcome != Refused || len(v.Reports) != 1 {
			t.Errorf("%q: %s %+v", image, v.Outcome, v.Reports)
		}
	}
}

func TestWithoutConfigurationNothingIsDecided(t *testing.T) {
	e := NewEngine(Options{})
	if v := e.Verify(t.Context(), "", repo+":v1"); v.Outcome != Undetermined || !errors.Is(v.Err, ErrNotConfigured) {
		t.Errorf("%s %v", v.Outcome, v.Err)
	}
	if e.Ready() == nil {
		t.Error("ready without configuration")
	}
	e.Load(NewSnapshot(1, Scope{}, SnapshotOptions{}))
	if v := e.Verify(t.Context(), "", repo+":v1"); v.Outcome != Undetermined {
		t.Errorf("empty scope: %s", v.Outcome)
	}
	if e.Ready() == nil {
		t.Error("ready with an empty configuration")
	}
}

func TestVerdictIsRememberedForItsTime(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g := newGraph()
	good, failing := digest.FromString("good"), digest.FromString("failing")
	g.attach(good, signature, "good")
	g.attach(failing, signature, "error")
	v := &fates{name: "v", artifactType: signature}
	scope := Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{v}}
	e := newTestEngine(t, Options{VerdictTTL: time.Minute, Now: func() time.Time { return now }}, scope)
	ask := func(image digest.Digest, namespace string) int32 {
		before := v.runs.Load()
		e.Verify(t.Context(), namespace, repo+"@"+image.String())
		return v.runs.Load() - before
	}
	if ask(good, "") != 1 || ask(good, "") != 0 {
		t.Error("a verdict was not remembered")
	}
	if ask(good, "other") != 1 {
		t.Error("a verdict was remembered for another namespace")
	}
	for range 2 {
		if ask(failing, "") != 1 {
			t.Error("what could not be found out was remembered")
		}
	}
	now = now.Add(time.Minute)
	if ask(good, "") != 1 {
		t.Error("a verdict was remembered past its time")
	}
	e.Load(NewSnapshot(2, scope, SnapshotOptions{}))
	if ask(good, "") != 1 {
		t.Error("a verdict outlived its configuration")
	}
	if g.closed.Load() != 0 {
		t.Error("a store that is still in use was closed")
	}
	e.Load(NewSnapshot(3, Scope{Stores: []referrerstore.ReferrerStore{newGraph()}}, SnapshotOptions{}))
	if g.closed.Load() != 1 {
		t.Error("a store that is no longer in use was not closed")
	}
}

func TestSameSubjectIsVerifiedOnce(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	v := &fates{name: "v", artifactType: signature, gate: make(chan struct{})}
	e := newTestEngine(t, Options{VerdictTTL: time.Minute}, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{v}})
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if verdict := e.Verify(t.Context(), "", repo+"@"+subject.String()); verdict.Outcome != Verified {
				t.Errorf("%s %v", verdict.Outcome, verdict.Err)
			}
		})
	}
	close(v.gate)
	wg.Wait()
	if n := v.runs.Load(); n != 1 {
		t.Errorf("verified %d times, want once", n)
	}
}

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
		if got := v.Reports[0].(verifier.VerifierResult).VerifierName; got != want {
			t.Errorf("namespace %q: verifier %s, want %s", namespace, got, want)
		}
	}
}

func TestTimeRunsOut(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	v := &fates{name: "v", artifactType: signature, gate: make(chan struct{})}
	e := newTestEngine(t, Options{VerdictTTL: time.Minute}, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{v}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	verdict := e.Verify(ctx, "", repo+"@"+subject.String())
	if verdict.Outcome != Undetermined || !errors.Is(verdict.Err, context.DeadlineExceeded) || !strings.Contains(verdict.Err.Error(), "time for the request ran out") {
		t.Errorf("%s %v", verdict.Outcome, verdict.Err)
	}
	close(v.gate)
	if verdict := e.Verify(t.Context(), "", repo+"@"+subject.String()); verdict.Outcome != Verified {
		t.Errorf("retry: %s %v", verdict.Outcome, verdict.Err)
	}
}

func TestParseKey(t *testing.T) {
	for key, want := range map[string][2]string{
		"docker.io/library/nginx:1": {"", "docker.io/library/nginx:1"},
		"[team]nginx":               {"team", "nginx"},
		"[]nginx":                   {"", "nginx"},
	} {
		if namespace, image, err := ParseKey(key); namespace != want[0] || image != want[1] || err != nil {
			t.Errorf("%q: %q %q %v", key, namespace, image, err)
		}
	}
	for _, key := range []string{"[team", strings.Repeat("x", maxReferenceBytes+1)} {
		if _, _, err := ParseKey(key); err == nil {
			t.Errorf("%.20q: no error", key)
		}
	}
}

func FuzzVerifyReference(f *testing.F) {
	for _, seed := range []string{"nginx", "[ns]a/b:c", "a@sha256:" + strings.Repeat("0", 64), "[", "]", "a:b@", "\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		namespace, image, err := ParseKey(key)
		if err != nil {
			return
		}
		e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{newGraph()}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{&fates{}}})
		if v := e.Verify(t.Context(), namespace, image); v.Outcome == Verified {
			t.Errorf("%q was verified without a signature", key)
		}
	})
}

// All images of a request are verified with one configuration, even if another is loaded meanwhile.
func TestSessionKeepsItsConfiguration(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	scope := func(name string) Scope {
		return Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{&fates{name: name, artifactType: signature}}}
	}
	e := newTestEngine(t, Options{}, scope("old"))
	session := e.Begin()
	e.Load(NewSnapshot(2, scope("new"), SnapshotOptions{}))
	for want, v := range map[string]Verdict{
		"old": session.Verify(t.Context(), "", repo+"@"+subject.String()),
		"new": e.Verify(t.Context(), "", repo+"@"+subject.String()),
	} {
		if got := v.Reports[0].(verifier.VerifierResult).VerifierName; got != want {
			t.Errorf("verified by %s, want %s", got, want)
		}
	}
}

func TestSubjectsAtOnceAreBounded(t *testing.T) {
	g := newGraph()
	v := &fates{name: "v", artifactType: signature, gate: make(chan struct{})}
	e := NewEngine(Options{})
	e.Load(NewSnapshot(1, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{v}},
		SnapshotOptions{VerifyTimeout: time.Minute}))
	var wg sync.WaitGroup
	for i := range 2 * maxSubjects {
		subject := digest.FromString(fmt.Sprint(i))
		g.attach(subject, signature, "good")
		wg.Go(func() {
			if verdict := e.Verify(t.Context(), "", repo+"@"+subject.String()); verdict.Outcome != Verified {
				t.Errorf("%s %v", verdict.Outcome, verdict.Err)
			}
		})
	}
	for e.slots.TryAcquire(1) { // until all slots are taken
		e.slots.Release(1)
		runtime.Gosched()
	}
	for v.runs.Load() < maxSubjects { // and those who took them run
		runtime.Gosched()
	}
	if n := v.runs.Load(); n > maxSubjects {
		t.Errorf("%d at once, want at most %d", n, maxSubjects)
	}
	close(v.gate)
	wg.Wait()
}
