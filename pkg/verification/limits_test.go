package verification

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/policyprovider"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
)

// late is a policy that is cut short by the end of the time, and says no, as upstream's Rego policy does.
type late struct{ policyprovider.PolicyProvider }

func (late) OverallVerifyResult(ctx context.Context, _ []any) bool {
	<-ctx.Done()
	return false
}

func TestPolicyThatIsCutShortDecidesNothing(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	e := NewEngine(Options{VerdictTTL: time.Hour})
	e.Load(NewSnapshot(1, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: late{regoPolicy(t)},
		Verifiers: []verifier.ReferenceVerifier{&fates{name: "v", artifactType: signature}}}, SnapshotOptions{VerifyTimeout: 20 * time.Millisecond}))
	if v := e.Verify(t.Context(), "", repo+"@"+subject.String()); v.Outcome != Undetermined || !errors.Is(v.Err, context.DeadlineExceeded) {
		t.Errorf("%s %v", v.Outcome, v.Err)
	}
}

// picky is a verifier that panics where it is only asked whether it can verify.
type picky struct{ fates }

func (*picky) CanVerify(context.Context, ocispecs.ReferenceDescriptor) bool { panic("boom") }

func TestPanicOutsideOfVerifyIsUndetermined(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{&picky{}}})
	if v := e.Verify(t.Context(), "", repo+"@"+subject.String()); v.Outcome != Undetermined || !strings.Contains(v.Err.Error(), "boom") {
		t.Errorf("%s %v", v.Outcome, v.Err)
	}
}

// liar is a store that answers with a descriptor of its own.
type liar struct {
	*graph
	says digest.Digest
}

func (l liar) GetSubjectDescriptor(context.Context, common.Reference) (*ocispecs.SubjectDescriptor, error) {
	return &ocispecs.SubjectDescriptor{Descriptor: oci.Descriptor{Digest: l.says}}, nil
}

func TestDescriptorOfAnotherSubjectIsRejected(t *testing.T) {
	signed, asked := digest.FromString("signed"), digest.FromString("asked")
	for name, tt := range map[string]struct {
		image string
		says  digest.Digest
	}{
		"another digest":       {repo + "@" + asked.String(), signed},
		"a tag has no digest":  {repo + ":v1", ""},
		"a tag's is no digest": {repo + ":v1", "sha256:0"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGraph()
			g.attach(signed, signature, "good")
			g.attach(asked, signature, "good")
			e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{liar{g, tt.says}}, Policy: jsonPolicy(t, "any"),
				Verifiers: []verifier.ReferenceVerifier{&fates{name: "v", artifactType: signature}}})
			if v := e.Verify(t.Context(), "", tt.image); v.Outcome != Undetermined || !strings.Contains(v.Err.Error(), "graph") {
				t.Errorf("%s %v", v.Outcome, v.Err)
			}
		})
	}
}

// crowd is a verifier that knows how many of its runs happened at once.
type crowd struct {
	fates
	now, most atomic.Int32
}

func (c *crowd) Verify(ctx context.Context, subject common.Reference, d ocispecs.ReferenceDescriptor, store referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	time.Sleep(time.Millisecond) // so that runs overlap
	return c.fates.Verify(ctx, subject, d, store)
}

func TestNestedReferrersDoNotMultiplyTheWorkAtOnce(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	for range maxReferrers {
		inner := g.attach(subject, sbom, "good")
		for range maxReferrers {
			g.attach(inner, signature, "good")
		}
	}
	v := &crowd{fates: fates{name: "v", artifactType: "*"}}
	e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: regoPolicy(t), Verifiers: []verifier.ReferenceVerifier{v}})
	if v := e.Verify(t.Context(), "", repo+"@"+subject.String()); v.Outcome != Verified {
		t.Errorf("%s %v", v.Outcome, v.Err)
	}
	if most := v.most.Load(); most > maxReferrers {
		t.Errorf("%d referrers of one subject were verified at once, more than %d", most, maxReferrers)
	}
}

func TestManyFailuresAreToldInShort(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	for range 300 {
		g.attach(subject, signature, "error")
	}
	e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"), Verifiers: []verifier.ReferenceVerifier{&fates{name: "v", artifactType: signature}}})
	v := e.Verify(t.Context(), "", repo+"@"+subject.String())
	if text := fmt.Sprint(v.Err); len(text) > 2000 || !strings.Contains(text, fmt.Sprintf("and %d more", 300-maxCauses)) || !errors.Is(v.Err, errDown) {
		t.Errorf("%d bytes: %.2000s", len(text), text)
	}
}

// Whoever wants to look at some types of referrers means those of the image: what refers to them is needed to verify them.
func TestArtifactTypesAreOfTheSubjectsReferrers(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "bad")
	g.attach(g.attach(subject, sbom, "good"), signature, "good")
	e := newTestEngine(t, Options{ArtifactTypes: []string{sbom}}, Scope{
		Stores: []referrerstore.ReferrerStore{g},
		Policy: policy(t, policyconfig.PolicyPluginConfig{"name": "configPolicy", "artifactVerificationPolicies": map[string]any{"default": "all"}}),
		Verifiers: []verifier.ReferenceVerifier{
			&fates{name: "sbom", artifactType: sbom, nested: []string{signature}}, &fates{name: "notation", artifactType: signature},
		},
	})
	if v := e.Verify(t.Context(), "", repo+"@"+subject.String()); v.Outcome != Verified {
		t.Errorf("%s %v %s", v.Outcome, v.Err, v.Reports)
	}
}

func TestRememberedVerdictsAreBoundedInBytes(t *testing.T) {
	v := newVerdicts()
	key := func(subject string) verdictKey { return verdictKey{1, "", subject} }
	large := Verdict{Outcome: Refused, Reports: []json.RawMessage{make([]byte, maxRememberedBytes/8), make([]byte, maxRememberedBytes/8+1)}}
	for i := range 5 {
		for range 2 { // again, as after its time
			v.put(key(fmt.Sprint(i)), large, time.Now(), time.Hour)
		}
	}
	if n := v.entries.Len(); n != 3 {
		t.Errorf("%d verdicts of a quarter of what is kept in all are kept, want 3", n)
	}
	if _, ok := v.entries.Get(key("4")); !ok {
		t.Error("the newest was dropped")
	}
	v.put(key("huge"), Verdict{Reports: []json.RawMessage{make([]byte, maxRememberedBytes+1)}}, time.Now(), time.Hour)
	if _, ok := v.entries.Get(key("huge")); ok || v.entries.Len() != 3 {
		t.Error("what is larger than all that is kept pushed out the rest")
	}
}

// A replica that sees ten thousand images once each is not to hold what it found out about all of them.
func TestVerdictsGoInTime(t *testing.T) {
	v, now := newVerdicts(), time.Unix(0, 0)
	for i := range 1000 {
		v.put(verdictKey{subject: fmt.Sprint(i)}, Verdict{Outcome: Verified}, now, time.Minute)
		now = now.Add(time.Second)
	}
	if n := v.entries.Len(); n != 60 {
		t.Errorf("%d verdicts are kept, and one a second was to be remembered for a minute", n)
	}
}

// lister is a store whose list of referrers is what a test says.
type lister struct {
	*graph
	list func(token string) (referrerstore.ListReferrersResult, error)
}

func (l *lister) ListReferrers(_ context.Context, _ common.Reference, _ []string, token string, _ *ocispecs.SubjectDescriptor) (referrerstore.ListReferrersResult, error) {
	return l.list(token)
}

// A list that can never be used is a fact, and a refusal; one that could not be read is not.
func TestListOfReferrersThatCannotBeUsed(t *testing.T) {
	fail := func(err error) func(string) (referrerstore.ListReferrersResult, error) {
		return func(string) (referrerstore.ListReferrersResult, error) {
			return referrerstore.ListReferrersResult{}, err
		}
	}
	for name, tt := range map[string]struct {
		list func(string) (referrerstore.ListReferrersResult, error)
		want Outcome
		says string
	}{
		"too many":  {fail(fmt.Errorf("501 referrers: %w", artifact.ErrLimit)), Refused, "501 referrers"},
		"malformed": {fail(fmt.Errorf("no index: %w", artifact.ErrMalformed)), Refused, "no index"},
		"unread":    {fail(errDown), Undetermined, "registry is down"},
		"without an end": {func(token string) (referrerstore.ListReferrersResult, error) {
			return referrerstore.ListReferrersResult{NextToken: token + "x"}, nil
		}, Refused, "more than 64 pages"},
	} {
		for _, policy := range []policyprovider.PolicyProvider{jsonPolicy(t, "any"), regoPolicy(t)} {
			e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{&lister{newGraph(), tt.list}}, Policy: policy,
				Verifiers: []verifier.ReferenceVerifier{&fates{name: "v", artifactType: signature}}})
			v := e.Verify(t.Context(), "", repo+"@"+digest.FromString("image").String())
			if said := fmt.Sprintf("%s %v", v.Reports, v.Err); v.Outcome != tt.want || !strings.Contains(said, tt.says) {
				t.Errorf("%s: %s %s, want %s: %s", name, v.Outcome, said, tt.want, tt.says)
			}
		}
	}
}
