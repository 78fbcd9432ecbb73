package verification

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
)

// remote is a store whose answers take their time, and may be errors. "panic" is one that panics.
type remote struct {
	*graph
	resolving, listing  time.Duration
	resolveErr, listErr error
	answer              digest.Digest // of the subject; "": that which is asked for
	listed              chan error    // if not nil, gets what ended each listing
}

var errPanic = errors.New("panic")

func (r *remote) wait(ctx context.Context, d time.Duration, err error) error {
	select {
	case <-time.After(d):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err == errPanic {
		panic("boom")
	}
	return err
}

func (r *remote) GetSubjectDescriptor(ctx context.Context, ref common.Reference) (*ocispecs.SubjectDescriptor, error) {
	if err := r.wait(ctx, r.resolving, r.resolveErr); err != nil {
		return nil, err
	}
	desc := oci.Descriptor{MediaType: oci.MediaTypeImageManifest, Digest: ref.Digest, Size: 42}
	if r.answer != "" {
		desc.Digest = r.answer
	}
	return &ocispecs.SubjectDescriptor{Descriptor: desc}, nil
}

func (r *remote) ListReferrers(ctx context.Context, ref common.Reference, types []string, token string, desc *ocispecs.SubjectDescriptor) (referrerstore.ListReferrersResult, error) {
	err := r.wait(ctx, r.listing, r.listErr)
	if r.listed != nil {
		r.listed <- err
	}
	if err != nil {
		return referrerstore.ListReferrersResult{}, err
	}
	if desc.Digest != ref.Digest {
		return referrerstore.ListReferrersResult{}, fmt.Errorf("asked for the referrers of %s by the descriptor of %s", ref.Digest, desc.Digest)
	}
	return r.graph.ListReferrers(ctx, ref, types, token, desc)
}

// measured is a verifier that wants the whole descriptor of the subject.
type measured struct{ fates }

func (v *measured) Verify(ctx context.Context, subject common.Reference, _ ocispecs.ReferenceDescriptor, store referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	desc, err := store.GetSubjectDescriptor(ctx, subject)
	return verifier.VerifierResult{IsSuccess: err == nil && desc.Size == 42 && desc.Digest == subject.Digest}, err
}

func TestSubjectAndReferrersTakeOneRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGraph()
		subject := digest.FromString("image")
		g.attach(subject, signature, "good")
		s := &remote{graph: g, resolving: time.Second, listing: time.Second}
		e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{s}, Policy: jsonPolicy(t, "any"),
			Verifiers: []verifier.ReferenceVerifier{&measured{fates{name: "v", artifactType: signature}}}})
		start := time.Now()
		if v := e.Verify(t.Context(), "", repo+"@"+subject.String()); v.Outcome != Verified {
			t.Errorf("%s %v", v.Outcome, v.Err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

// What is told must not depend on who fails first, and nothing may go on after it.
func TestErrorsOfSubjectAndReferrers(t *testing.T) {
	gone, refused := errors.New("gone"), errors.New("refused")
	unusable := fmt.Errorf("a list that %w", artifact.ErrMalformed)
	early, late := time.Second, 2*time.Second
	for name, test := range map[string]struct {
		store   *remote
		outcome Outcome
		says    string
		took    time.Duration
	}{
		"the subject, first":               {&remote{resolving: early, listing: late, resolveErr: gone}, Undetermined, "gone", early},
		"the subject, last":                {&remote{resolving: late, listing: early, resolveErr: gone}, Undetermined, "gone", late},
		"the referrers, first":             {&remote{resolving: late, listing: early, listErr: refused}, Undetermined, "refused", late},
		"the referrers, last":              {&remote{resolving: early, listing: late, listErr: refused}, Undetermined, "refused", late},
		"both, the subject first":          {&remote{resolving: early, listing: late, resolveErr: gone, listErr: refused}, Undetermined, "gone", early},
		"both, the referrers first":        {&remote{resolving: late, listing: early, resolveErr: gone, listErr: refused}, Undetermined, "gone", late},
		"an unusable list":                 {&remote{resolving: late, listing: early, listErr: unusable}, Refused, "", late},
		"no subject, and an unusable list": {&remote{resolving: late, listing: early, resolveErr: gone, listErr: unusable}, Undetermined, "gone", late},
		"another subject": {&remote{resolving: late, listing: early, answer: digest.FromString("another")}, Undetermined,
			digest.FromString("another").String(), late},
		"a panic about the subject":   {&remote{resolving: early, listing: late, resolveErr: errPanic}, Undetermined, "boom", early},
		"a panic about the referrers": {&remote{resolving: late, listing: early, listErr: errPanic}, Undetermined, "boom", late},
		"nobody answers":              {&remote{resolving: time.Hour, listing: time.Hour}, Undetermined, "time", DefaultVerifyTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left behind
				s := test.store
				s.graph = newGraph()
				subject := digest.FromString("image")
				s.attach(subject, signature, "good")
				e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{s}, Policy: jsonPolicy(t, "any"),
					Verifiers: []verifier.ReferenceVerifier{&fates{name: "v", artifactType: signature}}})
				start := time.Now()
				v := e.Verify(t.Context(), "", repo+"@"+subject.String())
				if took := time.Since(start); v.Outcome != test.outcome || took != test.took {
					t.Errorf("%s after %s, want %s after %s", v.Outcome, took, test.outcome, test.took)
				}
				if test.says != "" && (v.Err == nil || !strings.Contains(v.Err.Error(), test.says)) {
					t.Errorf("told %v, want %q", v.Err, test.says)
				}
			})
		})
	}
}

func TestListingEndsWithoutSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &remote{graph: newGraph(), resolving: time.Second, listing: time.Hour, resolveErr: errDown, listed: make(chan error, 1)}
		e := newTestEngine(t, Options{}, Scope{Stores: []referrerstore.ReferrerStore{s}, Policy: jsonPolicy(t, "any"),
			Verifiers: []verifier.ReferenceVerifier{&fates{name: "v", artifactType: signature}}})
		if v := e.Verify(t.Context(), "", repo+"@"+digest.FromString("image").String()); !errors.Is(v.Err, errDown) {
			t.Error(v.Err)
		}
		if err := <-s.listed; !errors.Is(err, context.Canceled) {
			t.Errorf("the listing ended with %v", err)
		}
	})
}

// The first store that has the subject describes it; referrers come from all.
func TestSubjectAndReferrersOfSeveralStores(t *testing.T) {
	subject := digest.FromString("image")
	first, second := newGraph(), newGraph()
	first.attach(subject, signature, "good")
	second.attach(subject, signature, "bad")
	stores := []referrerstore.ReferrerStore{&remote{graph: first, resolveErr: errDown}, &remote{graph: second}}
	e := newTestEngine(t, Options{}, Scope{Stores: stores, Policy: jsonPolicy(t, "all"),
		Verifiers: []verifier.ReferenceVerifier{&fates{name: "v", artifactType: signature}}})
	if v := e.Verify(t.Context(), "", repo+"@"+subject.String()); v.Outcome != Refused || len(v.Reports) != 2 {
		t.Errorf("%s %v %s", v.Outcome, v.Err, v.Reports)
	}
}
