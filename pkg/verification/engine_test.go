package verification

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/utils"
	"github.com/ratify-project/ratify/pkg/verifier"
)

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

// tagged is a verifier of images with one tag only, as cosign's is whose scopes name one.
type tagged struct{ fates }

func (v *tagged) Verify(_ context.Context, subject common.Reference, _ ocispecs.ReferenceDescriptor, _ referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	return verifier.VerifierResult{IsSuccess: subject.Tag == "v1"}, nil
}

func TestVerdictIsOfTheTag(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.tags["v1"], g.tags["v2"] = subject, subject
	g.attach(subject, signature, "good")
	e := newTestEngine(t, Options{VerdictTTL: time.Minute}, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"),
		Verifiers: []verifier.ReferenceVerifier{&tagged{fates{name: "v", artifactType: signature}}}})
	for range 2 { // found out, then remembered
		for reference, want := range map[string]Outcome{":v1": Verified, ":v2": Refused, "@" + subject.String(): Refused} {
			if v := e.Verify(t.Context(), "", repo+reference); v.Outcome != want {
				t.Errorf("%s: %s %v, want %s", reference, v.Outcome, v.Err, want)
			}
		}
	}
}

func TestBadReferenceIsRefused(t *testing.T) {
	e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{newGraph()}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{&fates{}}})
	for _, image := range []string{"", "host.example/UPPER", "a b", "repo@sha256:short", strings.Repeat("a", 5000)} {
		if v := e.Verify(t.Context(), "", image); v.Outcome != Refused || len(v.Reports) != 1 {
			t.Errorf("%q: %s %s", image, v.Outcome, v.Reports)
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
	if ask(good, "other") != 0 {
		t.Error("a namespace without anything of its own does not share the cluster's verdicts")
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
		want, wantErr := utils.ParseSubjectReference(image)
		for range 2 { // read, then remembered
			if got, err := e.references.parse(image); got != want || (err != nil) != (wantErr != nil) {
				t.Errorf("%q: %+v %v, want %+v %v", image, got, err, want, wantErr)
			}
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
		if got := results(t, v)[0].VerifierName; got != want {
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
