package verification

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"
)

// parts is a configuration that a test changes: of the cluster, and of namespaces a and b, which have a verifier of their own.
type parts struct {
	cluster, a, b Scope
	mandatory     Mandatory
	timeout       time.Duration
}

func (p parts) snapshot() *Snapshot {
	namespaces := map[string]Scope{}
	for name, own := range map[string]Scope{"a": p.a, "b": p.b} {
		if len(own.Verifiers) > 0 || own.Err != nil {
			namespaces[name] = own
		}
	}
	return NewSnapshot(1, p.cluster, SnapshotOptions{Namespaces: namespaces, Mandatory: p.mandatory, VerifyTimeout: p.timeout})
}

// A change has the verdicts forgotten that it may change, and no others.
func TestLoadForgetsWhatChanged(t *testing.T) {
	signatures := func(names ...string) (all []verifier.ReferenceVerifier) {
		for _, name := range names {
			all = append(all, &fates{name: name, artifactType: signature})
		}
		return all
	}
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	for name, tt := range map[string]struct {
		change func(*parts)
		again  []string // the namespaces that are asked about anew; "other" has nothing of its own
	}{
		"nothing":             {func(*parts) {}, nil},
		"the time":            {func(p *parts) { p.timeout = time.Minute }, nil},
		"a tenant's verifier": {func(p *parts) { p.a.Verifiers = signatures("a") }, []string{"a"}},
		"a tenant's policy":   {func(p *parts) { p.a.Policy = jsonPolicy(t, "all") }, []string{"a"}},
		"a tenant is gone":    {func(p *parts) { p.a = Scope{} }, nil}, // it shares the cluster's from now on
		"a tenant is broken":  {func(p *parts) { p.a.Err = errors.New("broken") }, []string{"a"}},
		"the tenants swap":    {func(p *parts) { p.a, p.b = p.b, p.a }, []string{"a", "b"}},
		"a tenant's is the same as the cluster's": {func(p *parts) { p.a.Verifiers = p.cluster.Verifiers }, nil},
		"the cluster's verifier":                  {func(p *parts) { p.cluster.Verifiers = signatures("x", "y") }, []string{"", "other"}},
		"the cluster's verifiers' order": {func(p *parts) {
			p.cluster.Verifiers = slices.Clone(p.cluster.Verifiers)
			slices.Reverse(p.cluster.Verifiers)
		}, []string{"", "other"}},
		"one of the cluster's verifiers is gone": {func(p *parts) { p.cluster.Verifiers = p.cluster.Verifiers[:1] }, []string{"", "other"}},
		"the cluster's policy":                   {func(p *parts) { p.cluster.Policy = jsonPolicy(t, "any") }, []string{"", "other", "a", "b"}},
		"the cluster is broken":                  {func(p *parts) { p.cluster.Err = errors.New("broken") }, []string{"", "other", "a", "b"}},
		"the store":                              {func(p *parts) { p.cluster.Stores = []referrerstore.ReferrerStore{&liar{g, subject}} }, []string{"", "other", "a", "b"}},
		"a verifier is mandatory":                {func(p *parts) { p.mandatory.Verifiers = p.cluster.Verifiers }, []string{"a", "b"}},
		"the policy is mandatory, and replaced": {func(p *parts) {
			p.mandatory.Policy, p.a.Policy = true, jsonPolicy(t, "any")
		}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			store, policy := []referrerstore.ReferrerStore{g}, jsonPolicy(t, "any")
			p := parts{
				cluster: Scope{Stores: store, Verifiers: signatures("first", "second"), Policy: policy},
				a:       Scope{Verifiers: signatures("a")}, b: Scope{Verifiers: signatures("b")},
			}
			e := NewEngine(Options{VerdictTTL: time.Hour})
			image := repo + "@" + subject.String()
			namespaces := []string{"", "other", "a", "b"}
			e.Load(p.snapshot())
			for _, namespace := range namespaces {
				e.Verify(t.Context(), namespace, image)
			}
			tt.change(&p)
			e.Load(p.snapshot())
			var again []string
			for _, namespace := range namespaces {
				if _, known := e.Begin().Known(namespace, image); !known {
					again = append(again, namespace)
				}
			}
			if !slices.Equal(again, tt.again) {
				t.Errorf("again: %q, want %q", again, tt.again)
			}
		})
	}
}

func TestVerifierThatIsGoneDecidesNothing(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	scope := Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{newTold("old", "good")}}
	e := newTestEngine(t, Options{VerdictTTL: time.Hour}, scope)
	for _, tt := range []struct {
		verifiers []verifier.ReferenceVerifier
		want      Outcome
	}{
		{scope.Verifiers, Verified},
		{[]verifier.ReferenceVerifier{newTold("new", "bad")}, Refused},
		{scope.Verifiers, Verified}, // which is found out again: its scope was gone
		{nil, Undetermined},
	} {
		scope.Verifiers = tt.verifiers
		e.Load(NewSnapshot(1, scope, SnapshotOptions{}))
		if v := e.Verify(t.Context(), "", repo+"@"+subject.String()); v.Outcome != tt.want {
			t.Errorf("%s %s %v, want %s", v.Outcome, v.Reports, v.Err, tt.want)
		}
	}
}

// listed is a verifier that cannot be compared: == panics.
type listed []*fates

func (l listed) Name() string                  { return "listed" }
func (l listed) Type() string                  { return "listed" }
func (l listed) GetNestedReferences() []string { return nil }
func (l listed) CanVerify(ctx context.Context, d ocispecs.ReferenceDescriptor) bool {
	return l[0].CanVerify(ctx, d)
}

func (l listed) Verify(ctx context.Context, subject common.Reference, d ocispecs.ReferenceDescriptor, store referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	return l[0].Verify(ctx, subject, d, store)
}

func TestWhatCannotBeComparedIsAnother(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	inner := &fates{name: "v", artifactType: signature}
	scope := Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{listed{inner}}}
	e := NewEngine(Options{VerdictTTL: time.Hour})
	for n := range int32(3) {
		e.Load(NewSnapshot(1, scope, SnapshotOptions{}))
		for range 2 { // found out, then remembered
			e.Verify(t.Context(), "", repo+"@"+subject.String())
		}
		if runs := inner.runs.Load(); runs != n+1 {
			t.Errorf("verified %d times with %d configurations", runs, n+1)
		}
	}
}

// A verification that began with a configuration answers who asks with another one only where both are the same, and is remembered only there.
func TestVerificationInFlightAcrossLoad(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	slow := &fates{name: "slow", artifactType: signature, gate: make(chan struct{})}
	tenants := newTold("tenant", "good")
	cluster := Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{slow}}
	with := func(cluster Scope, tenants verifier.ReferenceVerifier) *Snapshot {
		return NewSnapshot(1, cluster, SnapshotOptions{Namespaces: map[string]Scope{"team": {Verifiers: []verifier.ReferenceVerifier{tenants}}}})
	}
	e := NewEngine(Options{VerdictTTL: time.Hour})
	answers := make(chan Verdict, 2)
	ask := func(namespace string) {
		session := e.Begin()
		go func() { answers <- session.Verify(t.Context(), namespace, repo+"@"+subject.String()) }()
	}
	e.Load(with(cluster, tenants))
	ask("")
	for slow.runs.Load() == 0 {
		<-time.After(time.Millisecond)
	}
	e.Load(with(cluster, newTold("tenant", "bad")))
	ask("another namespace")
	if v := e.Verify(t.Context(), "team", repo+"@"+subject.String()); v.Outcome != Refused {
		t.Errorf("the tenant's new verifier: %s %s", v.Outcome, v.Reports)
	}
	cluster.Verifiers = []verifier.ReferenceVerifier{newTold("new", "bad")}
	e.Load(with(cluster, tenants))
	for range 2 { // found out, then remembered
		if v := e.Verify(t.Context(), "", repo+"@"+subject.String()); v.Outcome != Refused {
			t.Errorf("the cluster's new verifier: %s %s", v.Outcome, v.Reports)
		}
	}
	close(slow.gate)
	for range 2 {
		if v := <-answers; v.Outcome != Verified {
			t.Errorf("the cluster's old verifier: %s %v", v.Outcome, v.Err)
		}
	}
	if n := slow.runs.Load(); n != 1 {
		t.Errorf("the old verifier ran %d times: a change of a tenant's has the cluster's verified again", n)
	}
	if v := e.Verify(t.Context(), "", repo+"@"+subject.String()); v.Outcome != Refused {
		t.Errorf("what the old verifier found out is used with the new configuration: %s", v.Outcome)
	}
}

func TestKnown(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g := newGraph()
	subject, failing := digest.FromString("image"), digest.FromString("failing")
	g.tags["v1"] = subject
	g.attach(subject, signature, "good")
	g.attach(failing, signature, "error")
	e := NewEngine(Options{VerdictTTL: time.Minute, Now: func() time.Time { return now }})
	known := func(image string) bool {
		v, ok := e.Begin().Known("", image)
		if ok && v.Outcome != Verified {
			t.Errorf("%s: %s", image, v.Outcome)
		}
		return ok
	}
	image := repo + "@" + subject.String()
	if known(image) {
		t.Error("known without a configuration")
	}
	e.Load(NewSnapshot(1, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"),
		Verifiers: []verifier.ReferenceVerifier{&fates{name: "v", artifactType: signature}}}, SnapshotOptions{}))
	if known(image) {
		t.Error("known before it was found out")
	}
	e.Verify(t.Context(), "", image)
	e.Verify(t.Context(), "", repo+":v1")
	e.Verify(t.Context(), "", repo+"@"+failing.String())
	for image, want := range map[string]bool{
		image:                            true,
		repo + ":v1@" + subject.String(): true,
		repo + ":v1":                     false, // what a tag means has to be asked for
		repo + "@" + failing.String():    false,
		"not an image":                   false,
		"another.example/app@" + subject.String(): false,
	} {
		if known(image) != want {
			t.Errorf("%s: known is %t", image, !want)
		}
	}
	now = now.Add(time.Minute)
	if known(image) {
		t.Error("known past its time")
	}
}

// Metrics tell whose configuration a verifier ran with.
func TestVerifierRunNamesWhoseConfiguration(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	var runs []string
	e := NewEngine(Options{OnVerifier: func(r VerifierRun) { runs = append(runs, r.Namespace+"/"+r.Verifier) }})
	e.Load(NewSnapshot(1, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{newTold("cluster", "good")}},
		SnapshotOptions{Namespaces: map[string]Scope{"team": {Verifiers: []verifier.ReferenceVerifier{newTold("own", "good")}}}}))
	for _, namespace := range []string{"", "other", "team"} {
		e.Verify(t.Context(), namespace, repo+"@"+subject.String())
	}
	if want := []string{"/cluster", "/cluster", "team/own"}; !slices.Equal(runs, want) {
		t.Errorf("%q, want %q", runs, want)
	}
}
