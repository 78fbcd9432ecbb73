package verification

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ratify-project/ratify/pkg/common"
	"golang.org/x/sync/semaphore"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

const (
	// maxSubjects bounds the subjects verified at once; the others wait within their own time. Each needs a few
	// connections and less than 1 MiB.
	maxSubjects = 256
	// maxReferrers bounds the referrers verified at once for one subject, so that one image with hundreds of signatures
	// leaves room for the others.
	maxReferrers = 8
)

// Engine verifies subjects. Make one with NewEngine. An Engine is safe for concurrent use.
type Engine struct {
	options Options
	current atomic.Pointer[generation]
	slots   *semaphore.Weighted
}

// Options are an Engine's settings. The zero value is usable.
type Options struct {
	// VerdictTTL is how long a verdict is remembered; zero means not at all.
	VerdictTTL time.Duration
	// ArtifactTypes are the types of a subject's referrers that are looked at; empty means all. What refers to these is always
	// looked at.
	ArtifactTypes []string
	// OnVerifier, if set, is told of each run of a verifier.
	OnVerifier func(VerifierRun)
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// VerifierRun tells of one run of a verifier.
type VerifierRun struct {
	Verifier string
	// Namespace is the namespace whose configuration was used.
	Namespace string
	Duration  time.Duration
	Success   bool
	// Err says why the verifier could not find out; nil if it did.
	Err error
}

// generation is a Snapshot with all that was found out with it.
type generation struct {
	snapshot *Snapshot
	inFlight *flight.Group[Verdict]
	verdicts *verdicts
}

// NewEngine returns an Engine without configuration: every verdict is Undetermined until the first Load.
func NewEngine(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Engine{options: o, slots: semaphore.NewWeighted(maxSubjects)}
}

// Load makes s the configuration of all requests that start from now on.
func (e *Engine) Load(s *Snapshot) {
	old := e.current.Swap(&generation{snapshot: s, inFlight: flight.New[Verdict](s.verifyTimeout), verdicts: newVerdicts()})
	if old != nil {
		closeStores(old.snapshot, s)
	}
}

// Snapshot returns the current configuration, or nil before the first Load.
func (e *Engine) Snapshot() *Snapshot {
	if g := e.current.Load(); g != nil {
		return g.snapshot
	}
	return nil
}

// Ready returns nil once the cluster's subjects can be verified, else what is missing.
func (e *Engine) Ready() error {
	s := e.Snapshot()
	if s == nil {
		return ErrNotConfigured
	}
	return s.Scope("").validate()
}

// Session answers about the images of one request, all with the configuration that was current when it began.
type Session struct {
	engine     *Engine
	generation *generation // nil: there is no configuration
}

// Begin returns a Session with the current configuration.
func (e *Engine) Begin() Session { return Session{e, e.current.Load()} }

// Verify is Verify of a Session of its own.
func (e *Engine) Verify(ctx context.Context, namespace, image string) Verdict {
	return e.Begin().Verify(ctx, namespace, image)
}

// Resolve is Resolve of a Session of its own.
func (e *Engine) Resolve(ctx context.Context, namespace, image string) (string, error) {
	return e.Begin().Resolve(ctx, namespace, image)
}

// VerifyTimeout returns how long a verify request may take.
func (s Session) VerifyTimeout() time.Duration {
	if s.generation == nil {
		return DefaultVerifyTimeout
	}
	return s.generation.snapshot.verifyTimeout
}

// MutateTimeout returns how long a mutate request may take.
func (s Session) MutateTimeout() time.Duration {
	if s.generation == nil {
		return DefaultMutateTimeout
	}
	return s.generation.snapshot.mutateTimeout
}

// Verify returns the verdict about image with the configuration of namespace ("" is the cluster's). Requests for the same
// subject at the same time share one verification.
func (s Session) Verify(ctx context.Context, namespace, image string) Verdict {
	e, g := s.engine, s.generation
	if g == nil {
		return undetermined(image, ErrNotConfigured)
	}
	scope := g.snapshot.Scope(namespace)
	if err := scope.validate(); err != nil {
		return undetermined(image, err)
	}
	ref, err := parseReference(image)
	if err != nil {
		return refuse(scope.Policy.GetPolicyType(ctx), image, refusal{
			message:     "not an image reference",
			reason:      err.Error(),
			remediation: "write registry/repository:tag or registry/repository@sha256:…",
		})
	}
	if ref.Digest == "" {
		desc, err := SubjectDescriptor(ctx, scope.Stores, ref)
		if err != nil {
			return undetermined(image, err)
		}
		tag := ref.Tag
		ref = at(ref, desc.Digest)
		ref.Tag = tag // which the scopes of a verifier's policies may name
	}

	key := namespace + "|" + ref.Tag + "|" + ref.Original
	if known, ok := g.verdicts.get(key, e.options.Now()); ok {
		return known
	}
	verdict, err := g.inFlight.Do(ctx, key, func(ctx context.Context) (Verdict, error) {
		if known, ok := g.verdicts.get(key, e.options.Now()); ok {
			return known, nil // by a call that ended between the look-up above and this one
		}
		if err := e.slots.Acquire(ctx, 1); err != nil {
			return Verdict{}, fmt.Errorf("%d other images were being verified: %w", maxSubjects, err)
		}
		defer e.slots.Release(1)
		return e.evaluate(ctx, g, namespace, scope, ref, key), nil
	})
	if err != nil {
		return undetermined(ref.Original, outOfTime(err))
	}
	return verdict
}

func (e *Engine) evaluate(ctx context.Context, g *generation, namespace string, scope Scope, ref common.Reference, key string) Verdict {
	verdict := e.evaluateMandatory(ctx, g, namespace, ref)
	if verdict.Outcome == Verified {
		run := &run{engine: e, namespace: namespace, scope: scope, policyType: scope.Policy.GetPolicyType(ctx)}
		verdict = run.verdict(ctx, ref)
	}
	if verdict.Outcome != Undetermined && e.options.VerdictTTL > 0 {
		// Safe to remember: the subject is a digest, the configuration is the generation's own, and what could not be
		// found out is not among the verdicts.
		g.verdicts.put(key, verdict, e.options.Now().Add(e.options.VerdictTTL))
	}
	return verdict
}

// evaluateMandatory says whether ref satisfies what namespace cannot replace: Verified if there is no such thing.
func (e *Engine) evaluateMandatory(ctx context.Context, g *generation, namespace string, ref common.Reference) Verdict {
	scope := g.snapshot.mandatory(namespace)
	if scope == nil {
		return Verdict{Outcome: Verified}
	}
	verdict := Verdict{Subject: ref.Original, Digest: ref.Digest}
	if verdict.Err = scope.validate(); verdict.Err == nil {
		run := &run{engine: e, scope: *scope, policyType: scope.Policy.GetPolicyType(ctx), mandatory: true}
		verdict = run.verdict(ctx, ref)
	}
	if verdict.Err != nil {
		verdict.Err = fmt.Errorf("what the cluster makes mandatory for namespace %s: %w", namespace, verdict.Err)
	}
	return verdict
}

// Resolve returns image with its tag pinned: registry/repository:tag@digest. A reference that has a digest is returned as it is.
func (s Session) Resolve(ctx context.Context, namespace, image string) (string, error) {
	g := s.generation
	if g == nil {
		return "", ErrNotConfigured
	}
	ref, err := parseReference(image)
	if err != nil {
		return "", err
	}
	if ref.Digest != "" {
		return image, nil
	}
	scope := g.snapshot.Scope(namespace)
	if len(scope.Stores) == 0 {
		return "", scope.validate()
	}
	desc, err := SubjectDescriptor(ctx, scope.Stores, ref)
	if err != nil {
		return "", err
	}
	return ref.Original + "@" + desc.Digest.String(), nil
}

// outOfTime words the end of a request's time for its user.
func outOfTime(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the time for the request ran out before the image was verified; it is verified anew on the next request: %w", err)
	}
	return err
}
