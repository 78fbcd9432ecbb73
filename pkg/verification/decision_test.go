package verification

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/executor/types"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
)

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
				t.Fatalf("outcome %s, want %s (%v, %s)", v.Outcome, tt.want, v.Err, v.Reports)
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
	for _, r := range results(t, v) {
		got = append(got, r.ReferenceDigest)
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
					t.Fatalf("outcome %s, want %s: %v %s", v.Outcome, tt.want, v.Err, v.Reports)
				}
				nested := len(results(t, v)[0].NestedResults)
				if kind == "rego" {
					nested = len(decoded[types.NestedVerifierReport](t, v)[0].NestedReports)
				}
				if nested != 1 {
					t.Errorf("%d nested reports, want 1: %s", nested, v.Reports)
				}
			})
		}
	}
}

// talkative is a verifier whose report has what has no form in JSON.
type talkative struct{ fates }

func (*talkative) Verify(context.Context, common.Reference, ocispecs.ReferenceDescriptor, referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	return verifier.VerifierResult{IsSuccess: true, Extensions: make(chan int)}, nil
}

func TestReportThatCannotBeWrittenIsNoVerdict(t *testing.T) {
	g := newGraph()
	subject := digest.FromString("image")
	g.attach(subject, signature, "good")
	e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{g}, Policy: jsonPolicy(t, "any"),
		Verifiers: []verifier.ReferenceVerifier{&talkative{fates{artifactType: signature}}}})
	if v := e.Verify(t.Context(), "", repo+"@"+subject.String()); v.Outcome != Undetermined || !strings.Contains(fmt.Sprint(v.Err), "written as JSON") {
		t.Errorf("%s %v", v.Outcome, v.Err)
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
		t.Errorf("a cycle was verified: %s", v.Reports)
	}
}
