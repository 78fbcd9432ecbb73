package verification

import (
	"errors"
	"io"
	"time"

	"github.com/ratify-project/ratify/pkg/policyprovider"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"
)

const (
	// DefaultVerifyTimeout leaves 100 ms of Gatekeeper's validating webhook timeout of 3 s for the way there and back.
	DefaultVerifyTimeout = 2900 * time.Millisecond
	// DefaultMutateTimeout leaves 50 ms of Gatekeeper's mutating webhook timeout of 1 s.
	DefaultMutateTimeout = 950 * time.Millisecond
)

// Scope is what verifies the subjects of the cluster, or of one namespace. Order counts: a subject is resolved by the first
// store that has it, and with a JSON policy the first verifier that can verify a referrer is the one that does.
type Scope struct {
	Stores    []referrerstore.ReferrerStore
	Verifiers []verifier.ReferenceVerifier
	Policy    policyprovider.PolicyProvider
	// Err, if set, says why Policy cannot be used: every verdict is Undetermined.
	Err error
}

// Mandatory is what of the cluster's configuration a namespace can add to but not replace. An image of a namespace that has
// verifiers or a policy of its own has to satisfy both: what is mandatory, under the cluster's policy, and what is its own.
type Mandatory struct {
	// Verifiers are those among the cluster's.
	Verifiers []verifier.ReferenceVerifier
	// Policy says that the cluster's policy is mandatory. It judges what the mandatory verifiers find; where there are none, or the namespace
	// has no verifiers of its own, what all of the namespace's find.
	Policy bool
}

// Snapshot is one immutable configuration.
type Snapshot struct {
	generation    uint64
	cluster       tenant
	namespaces    map[string]tenant
	verifyTimeout time.Duration
	mutateTimeout time.Duration
}

// tenant is what verifies the subjects of the cluster, or of one namespace.
type tenant struct {
	own Scope
	// mandatory has to be satisfied besides; nil: own cannot escape it, or nothing is mandatory.
	mandatory *Scope
}

// SnapshotOptions are the parts of a Snapshot that have defaults.
type SnapshotOptions struct {
	// Namespaces holds what a namespace has of its own. A kind that is empty there is the cluster's.
	Namespaces map[string]Scope
	Mandatory  Mandatory
	// VerifyTimeout and MutateTimeout bound one request. Zero means DefaultVerifyTimeout and DefaultMutateTimeout.
	VerifyTimeout, MutateTimeout time.Duration
}

// NewSnapshot returns a Snapshot. The caller must not change what it passes afterwards.
func NewSnapshot(generation uint64, cluster Scope, o SnapshotOptions) *Snapshot {
	s := &Snapshot{
		generation:    generation,
		cluster:       tenant{own: cluster},
		namespaces:    make(map[string]tenant, len(o.Namespaces)),
		verifyTimeout: o.VerifyTimeout,
		mutateTimeout: o.MutateTimeout,
	}
	if s.verifyTimeout == 0 {
		s.verifyTimeout = DefaultVerifyTimeout
	}
	if s.mutateTimeout == 0 {
		s.mutateTimeout = DefaultMutateTimeout
	}
	for namespace, own := range o.Namespaces {
		s.namespaces[namespace] = newTenant(own, cluster, o.Mandatory)
	}
	return s
}

// newTenant fills in what a namespace does not have of its own, and works out what it has to satisfy besides.
func newTenant(own, cluster Scope, m Mandatory) tenant {
	replacesVerifiers, replacesPolicy := len(own.Verifiers) > 0, own.Policy != nil || own.Err != nil
	if len(own.Stores) == 0 {
		own.Stores = cluster.Stores
	}
	if !replacesVerifiers {
		own.Verifiers = cluster.Verifiers
	}
	if !replacesPolicy {
		own.Policy, own.Err = cluster.Policy, cluster.Err
	}
	mandatory := Scope{Stores: own.Stores, Verifiers: own.Verifiers, Policy: cluster.Policy, Err: cluster.Err}
	switch {
	case m.Policy && replacesPolicy && !replacesVerifiers: // all of the cluster's, those that are mandatory among them
	case len(m.Verifiers) > 0 && (replacesVerifiers || replacesPolicy):
		mandatory.Verifiers = m.Verifiers
	case m.Policy && replacesPolicy:
	default:
		return tenant{own: own}
	}
	return tenant{own, &mandatory}
}

// Generation returns the number that tells this Snapshot from those before it.
func (s *Snapshot) Generation() uint64 { return s.generation }

// Scope returns what verifies the subjects of namespace; the empty namespace is the cluster.
func (s *Snapshot) Scope(namespace string) Scope {
	if t, ok := s.namespaces[namespace]; ok {
		return t.own
	}
	return s.cluster.own
}

// Stores returns each store of the Snapshot once.
func (s *Snapshot) Stores() []referrerstore.ReferrerStore {
	seen := make(map[referrerstore.ReferrerStore]bool)
	var all []referrerstore.ReferrerStore
	add := func(scope Scope) {
		for _, store := range scope.Stores {
			if !seen[store] {
				seen[store] = true
				all = append(all, store)
			}
		}
	}
	add(s.cluster.own)
	for _, t := range s.namespaces {
		add(t.own)
	}
	return all
}

// validate says what a scope lacks to verify a subject.
func (s Scope) validate() error {
	switch {
	case s.Err != nil: // first: it may be why there are no verifiers
		return s.Err
	case len(s.Stores) == 0:
		return errors.New("no store is configured: add a Store resource, or store.plugins in config.json")
	case len(s.Verifiers) == 0:
		return errors.New("no verifier is configured: add a Verifier resource, or verifier.plugins in config.json")
	case s.Policy == nil:
		return errors.New("no policy is configured: add a Policy resource, or policy.plugin in config.json")
	}
	return nil
}

// closeStores frees what the stores of old hold that next does not use. Requests that still use them go on undisturbed.
func closeStores(old, next *Snapshot) {
	if old == nil {
		return
	}
	kept := make(map[referrerstore.ReferrerStore]bool)
	for _, store := range next.Stores() {
		kept[store] = true
	}
	for _, store := range old.Stores() {
		if closer, ok := store.(io.Closer); ok && !kept[store] {
			_ = closer.Close() // frees idle connections only: nothing that a user could act on
		}
	}
}
