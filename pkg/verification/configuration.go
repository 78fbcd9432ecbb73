package verification

import (
	"reflect"
	"slices"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

// configuration is a Snapshot in use, each of its scopes with a number.
type configuration struct {
	snapshot   *Snapshot
	cluster    *numbered
	namespaces map[string]*numbered
	inFlight   *flight.Group[Verdict]
}

// numbered is what verifies the subjects of the cluster, or of one namespace, with a number that nothing else has, or had before. Verdicts, and
// verifications in flight, go by the number: as long as it is the same, they are what would be found out now.
type numbered struct {
	tenant
	number    uint64
	namespace string
}

// newConfiguration returns the configuration of s. What was the same in old, which may be nil, keeps its number; the rest has one by next.
func newConfiguration(s *Snapshot, old *configuration, next func() uint64) *configuration {
	c := &configuration{snapshot: s, namespaces: make(map[string]*numbered, len(s.namespaces))}
	var before *numbered
	if old != nil {
		before = old.cluster
	}
	c.cluster = number(s.cluster, "", before, next)
	for namespace, t := range s.namespaces {
		if t.is(s.cluster) {
			c.namespaces[namespace] = c.cluster
			continue
		}
		if before = nil; old != nil {
			before = old.namespaces[namespace]
		}
		c.namespaces[namespace] = number(t, namespace, before, next)
	}
	// A verification in flight has the time that the configuration gave it with which it began. Otherwise it answers all who ask for the same,
	// with the same scope.
	if old != nil && old.snapshot.verifyTimeout == s.verifyTimeout {
		c.inFlight = old.inFlight
	} else {
		c.inFlight = flight.New[Verdict](s.verifyTimeout)
	}
	return c
}

func number(t tenant, namespace string, before *numbered, next func() uint64) *numbered {
	if before != nil && before.is(t) {
		return before
	}
	return &numbered{tenant: t, number: next(), namespace: namespace}
}

// scope returns what verifies the subjects of namespace; the empty namespace is the cluster.
func (c *configuration) scope(namespace string) *numbered {
	if n, ok := c.namespaces[namespace]; ok {
		return n
	}
	return c.cluster
}

// is reports whether t and other decide alike for certain.
func (t tenant) is(other tenant) bool {
	if t.mandatory == nil || other.mandatory == nil {
		return t.mandatory == other.mandatory && t.own.is(other.own)
	}
	return t.own.is(other.own) && t.mandatory.is(*other.mandatory)
}

// is reports whether s and other are made of the same parts. Parts do not change: other key material, or other parameters, are another part.
func (s Scope) is(other Scope) bool {
	return slices.EqualFunc(s.Stores, other.Stores, same) && slices.EqualFunc(s.Verifiers, other.Verifiers, same) &&
		same(s.Policy, other.Policy) && same(s.Err, other.Err)
}

// same is a == b, of interfaces, and false where that would panic.
func same[T any](a, b T) bool {
	return reflect.ValueOf(&a).Elem().Comparable() && reflect.ValueOf(&b).Elem().Comparable() && any(a) == any(b)
}
