package manager

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
)

const (
	// statusTimeout bounds the calls that write one status.
	statusTimeout = 10 * time.Second
	// statusRetry is when those that could not be written are tried again.
	statusRetry = 5 * time.Second
)

// statuses writes what became of resources, while it runs.
type statuses struct {
	client client.Client // must read unstructured objects from the API server, as a manager's does
	log    *slog.Logger
	// instance is who writes events.
	instance string

	changed chan struct{}
	mu      sync.Mutex
	order   []controller.ID
	current map[controller.ID]outcome
}

// set makes outcomes what is written, now or when run is called.
func (s *statuses) set(outcomes []outcome) {
	order, current := make([]controller.ID, 0, len(outcomes)), make(map[controller.ID]outcome, len(outcomes))
	for _, o := range outcomes {
		order = append(order, o.id)
		current[o.id] = o
	}
	s.mu.Lock()
	s.order, s.current = order, current
	s.mu.Unlock()
	poke(s.changed)
}

// all returns the resources there are.
func (s *statuses) all() []controller.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.order
}

// latest returns what became of a resource, unless that is gone. Writing thousands of statuses takes a minute: what changes meanwhile need not wait
// for the next round.
func (s *statuses) latest(id controller.ID) (outcome, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.current[id]
	return o, ok
}

// run writes all statuses, then those that change, until ctx ends.
func (s *statuses) run(ctx context.Context) {
	written := make(map[controller.ID]outcome)
	for {
		now, failed := make(map[controller.ID]outcome), false
		for _, id := range s.all() {
			o, ok := s.latest(id)
			if !ok {
				continue
			}
			last, ok := written[id]
			if ok && last.version == o.version && equality.Semantic.DeepEqual(last.status, o.status) {
				now[o.id] = o
				continue
			}
			if err := s.write(ctx, o, last); err != nil {
				if ctx.Err() != nil {
					return
				}
				s.log.Warn("a status could not be written; it will be tried again", "resource", o.id.String(), "error", err)
				failed = true
				continue
			}
			now[o.id] = o
		}
		written = now
		var again <-chan time.Time
		if failed {
			again = time.After(statusRetry)
		}
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
		case <-again:
		}
	}
}

// write writes the status of one resource, and an event of what is new in it. last is what was written before, if anything was.
func (s *statuses) write(ctx context.Context, o, last outcome) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	object := newObject(o.id.ResourceKind())
	if err := s.client.Get(ctx, types.NamespacedName{Namespace: o.id.Namespace, Name: o.id.Name}, object); err != nil {
		return client.IgnoreNotFound(err)
	}
	if object.GetUID() != o.uid {
		return nil // another one of that name, which the next Snapshot knows
	}
	before, after := readStatus(object), o.status
	after.Conditions = slices.Clone(before.Conditions)
	for _, c := range o.status.Conditions {
		meta.SetStatusCondition(&after.Conditions, c)
	}
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&after)
	if err != nil {
		return err
	}
	base := object.DeepCopy()
	object.Object["status"] = content
	// Not over what changed meanwhile: another replica may lead, or another resource have the name. It is looked at again.
	patch := client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
	if err := s.client.Status().Patch(ctx, object, patch); err != nil {
		return client.IgnoreNotFound(err)
	}
	if len(before.Conditions) == 0 { // a CRD of Ratify v1.4 does not keep them
		before.Conditions = last.status.Conditions
	}
	if e := news(before, after); e != nil {
		if err := s.event(ctx, object, *e); err != nil {
			s.log.Warn("an event could not be written", "resource", o.id.String(), "reason", e.reason, "message", e.message, "error", err)
		}
	}
	return nil
}

// readStatus returns the status that an object has, or an empty one.
func readStatus(object *unstructured.Unstructured) status {
	var s status
	if content, ok := object.Object["status"].(map[string]any); ok {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &s); err != nil {
			return status{} // whoever wrote that: it is written anew
		}
	}
	return s
}
