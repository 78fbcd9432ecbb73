package verification

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ratify-project/ratify/pkg/common"
	"golang.org/x/sync/semaphore"
)

const (
	// maxSubjects bounds the subjects verified at once; the others wait within their own time. Each needs a few
	// connections and less than 1 MiB.
	maxSubjects = 256
	// maxReferrers bounds the referrers verified at once for one subject. Each may have a manifest and a blob of megabytes in memory, and one
	// request under way: an image with hundreds of signatures has to leave room for others, also at its registry.
	maxReferrers = 16
)

// Engine verifies subjects. Make one with NewEngine. An Engine is safe for concurrent use.
type Engine struct {
	options    Options
	slots      *semaphore.Weighted
	references *references
	verdicts   *verdicts
	current    atomic.Pointer[configuration]

	loading sync.Mutex
	scopes  uint64 // how many scopes there were so far
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
	// Namespace is the namespace whose configuration was used; empty for the cluster's, which namespaces without any of their own share.
	Namespace string
	Duration  time.Duration
	Success   bool
	// Err says why the verifier could not find out; nil if it did.
	Err error
}

// NewEngine returns an Engine without configuration: every verdict is Undetermined until the first Load.
func NewEngine(o Options) *Engine {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Engine{options: o, slots: semaphore.NewWeighted(maxSubjects), references: newReferences(), verdicts: newVerdicts()}
}

// Load makes s the configuration of all requests that start from now on. Verdicts are forgotten but those of scopes that stay what they are:
// with the same stores, verifiers and policy (==), in the same order, for the cluster or the namespace.
func (e *Engine) Load(s *Snapshot) {
	e.loading.Lock()
	defer e.loading.Unlock()
	old := e.current.Load()
	e.current.Store(newConfiguration(s, old, func() uint64 { e.scopes++; return e.scopes }))
	if old != nil {
		closeStores(old.snapshot, s)
	}
}

// Snapshot returns the current configuration, or nil before the first Load.
func (e *Engine) Snapshot() *Snapshot {
	if c := e.current.Load(); c != nil {
		return c.snapshot
	}
	return nil
}

// Ready returns nil once subjects can be verified: the cluster's or, where the cluster has no whole configuration, those of one namespace that has.
// Else it returns what the cluster's lacks. What the cluster has must be usable: a replica that cannot use it must not take the place of one that can.
func (e *Engine) Ready() error {
	s := e.Snapshot()
	if s == nil {
		return ErrNotConfigured
	}
	cluster := s.Scope("")
	missing := cluster.validate()
	if missing == nil || cluster.Err != nil {
		return missing
	}
	for namespace := range s.namespaces {
		if s.Scope(namespace).validate() == nil {
			return nil
		}
	}
	return missing
}

// Session answers about the images of one request, all with the configuration that was current when it began.
type Session struct {
	engine        *Engine
	configuration *configuration // nil: there is none
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
	if s.configuration == nil {
		return DefaultVerifyTimeout
	}
	return s.configuration.snapshot.verifyTimeout
}

// MutateTimeout returns how long a mutate request may take.
func (s Session) MutateTimeout() time.Duration {
	if s.configuration == nil {
		return DefaultMutateTimeout
	}
	return s.configuration.snapshot.mutateTimeout
}

// Known returns the verdict about image with the configuration of namespace if it is remembered. It asks nobody, and needs no time.
func (s Session) Known(namespace, image string) (Verdict, bool) {
	if s.configuration == nil {
		return Verdict{}, false
	}
	ref, err := s.engine.references.parse(image)
	if err != nil || ref.Digest == "" {
		return Verdict{}, false
	}
	return s.engine.verdicts.get(keyOf(s.configuration.scope(namespace), ref), s.engine.options.Now())
}

// Verify returns the verdict about image with the configuration of namespace ("" is the cluster's). Requests for the same
// subject at the same time share one verification.
func (s Session) Verify(ctx context.Context, namespace, image string) Verdict {
	e, c := s.engine, s.configuration
	if c == nil {
		return undetermined(image, ErrNotConfigured)
	}
	scope := c.scope(namespace)
	if err := scope.own.validate(); err != nil {
		return undetermined(image, err)
	}
	ref, err := e.references.parse(image)
	if err != nil {
		return refuse(scope.own.Policy.GetPolicyType(ctx), image, refusal{
			message:     "not an image reference",
			reason:      err.Error(),
			remediation: "write registry/repository:tag or registry/repository@sha256:…",
		})
	}
	if ref.Digest == "" {
		desc, err := SubjectDescriptor(ctx, scope.own.Stores, ref)
		if err != nil {
			return undetermined(image, err)
		}
		tag := ref.Tag
		ref = at(ref, desc.Digest)
		ref.Tag = tag // which the scopes of a verifier's policies may name
	}

	key := keyOf(scope, ref)
	if known, ok := e.verdicts.get(key, e.options.Now()); ok {
		return known
	}
	verdict, err := c.inFlight.Do(ctx, key.String(), func(ctx context.Context) (Verdict, error) {
		if known, ok := e.verdicts.get(key, e.options.Now()); ok {
			return known, nil // by a call that ended between the look-up above and this one
		}
		if err := e.slots.Acquire(ctx, 1); err != nil {
			return Verdict{}, fmt.Errorf("%d other images were being verified: %w", maxSubjects, err)
		}
		defer e.slots.Release(1)
		return e.evaluate(ctx, scope, ref, key), nil
	})
	if err != nil {
		return undetermined(ref.Original, outOfTime(err))
	}
	return verdict
}

func (e *Engine) evaluate(ctx context.Context, scope *numbered, ref common.Reference, key verdictKey) Verdict {
	verdict := e.evaluateMandatory(ctx, scope, ref)
	if verdict.Outcome == Verified {
		run := &run{engine: e, namespace: scope.namespace, scope: scope.own, policyType: scope.own.Policy.GetPolicyType(ctx)}
		verdict = run.verdict(ctx, ref)
	}
	if verdict.Outcome != Undetermined && e.options.VerdictTTL > 0 {
		// Safe to remember: the subject is a digest, the number is the scope's alone, what makes a scope does not change, and what could
		// not be found out is not among the verdicts.
		e.verdicts.put(key, verdict, e.options.Now(), e.options.VerdictTTL)
	}
	return verdict
}

// evaluateMandatory says whether ref satisfies what the namespace cannot replace: Verified if there is no such thing.
func (e *Engine) evaluateMandatory(ctx context.Context, scope *numbered, ref common.Reference) Verdict {
	mandatory := scope.mandatory
	if mandatory == nil {
		return Verdict{Outcome: Verified}
	}
	verdict := Verdict{Subject: ref.Original, Digest: ref.Digest}
	if verdict.Err = mandatory.validate(); verdict.Err == nil {
		run := &run{engine: e, scope: *mandatory, policyType: mandatory.Policy.GetPolicyType(ctx), mandatory: true}
		verdict = run.verdict(ctx, ref)
	}
	if verdict.Err != nil {
		verdict.Err = fmt.Errorf("what the cluster makes mandatory for namespace %s: %w", scope.namespace, verdict.Err)
	}
	return verdict
}

// Resolve returns image with its tag pinned: registry/repository:tag@digest. A reference that has a digest is returned as it is.
func (s Session) Resolve(ctx context.Context, namespace, image string) (string, error) {
	if s.configuration == nil {
		return "", ErrNotConfigured
	}
	ref, err := s.engine.references.parse(image)
	if err != nil {
		return "", err
	}
	if ref.Digest != "" {
		return image, nil
	}
	scope := s.configuration.scope(namespace).own
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
