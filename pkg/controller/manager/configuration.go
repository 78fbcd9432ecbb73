package manager

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// configuration makes Snapshots of all resources whenever there are others, and key material whenever it is due.
type configuration struct {
	reader  client.Reader
	builder *controller.Builder
	load    func(*verification.Snapshot)
	publish func([]outcome)
	metrics *metrics.Metrics
	log     *slog.Logger

	again   chan ctrlevent.GenericEvent // asks for Reconcile
	rebuilt chan struct{}               // tells refresh that there may be other key management providers
	read    chan struct{}               // tells refresh that one was read
	stale   atomic.Bool                 // key material has changed since the last Snapshot

	mu       sync.Mutex
	built    versions // what the last Snapshot was made of; nil: there is none
	statuses []controller.Status
	logged   map[controller.ID]string
}

// outcome is what became of a resource in one of its versions.
type outcome struct {
	id controller.ID
	version
	status status
}

// Reconcile makes a Snapshot if the resources, or the key material, are not those of the last one.
func (c *configuration) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	resources, found, err := list(ctx, c.reader)
	if err != nil {
		return reconcile.Result{}, err
	}
	if stale := c.stale.Swap(false); !stale && c.built != nil && maps.Equal(found, c.built) {
		return reconcile.Result{}, nil
	}
	loaded := false
	defer func() {
		if !loaded { // it panicked, or ended early: whoever comes next must not take the last Snapshot for right
			c.stale.Store(true)
		}
	}()
	snapshot, statuses := c.builder.Build(ctx, resources)
	if ctx.Err() != nil {
		return reconcile.Result{}, nil // what ended early is no configuration
	}
	c.load(snapshot)
	loaded = true
	c.mu.Lock()
	c.built, c.statuses = found, statuses
	c.mu.Unlock()
	c.tell()
	poke(c.rebuilt)
	return reconcile.Result{}, nil
}

// refresh reads key management providers whenever they are due, until ctx ends. They do not wait for each other, nor does Reconcile wait for them: a
// service that hangs must not keep other changes from taking effect.
func (c *configuration) refresh(ctx context.Context) error {
	var reads sync.WaitGroup
	defer reads.Wait()
	var telling <-chan time.Time
	for {
		var due <-chan time.Time
		if at := c.builder.Due(); !at.IsZero() {
			due = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-c.rebuilt:
		case <-c.read:
			if telling == nil {
				telling = time.After(settle) // many are read at once
			}
		case <-telling:
			telling = nil
			c.tell()
		case <-due:
			reads.Go(c.builder.Refresh(ctx, func(changed bool) {
				if changed {
					c.stale.Store(true)
					select {
					case c.again <- ctrlevent.GenericEvent{}:
					default: // it is asked for already
					}
				}
				poke(c.read)
			}))
		}
	}
}

// tell publishes what became of all resources, in the log, the metrics and the statuses.
func (c *configuration) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	latest := make(map[controller.ID]controller.Status)
	var providers []metrics.KeyProvider
	for _, s := range c.builder.KeyProviders() {
		latest[s.ID] = s
		providers = append(providers, metrics.KeyProvider{
			Name: s.ID.Reference(), Expires: s.KeyMaterial.FirstExpiry(), Degraded: s.Err != nil || s.Degraded != nil,
		})
	}
	c.metrics.KeyProviders(providers)
	outcomes, logged := make([]outcome, 0, len(c.statuses)), make(map[controller.ID]string)
	for _, s := range c.statuses {
		if newer, ok := latest[s.ID]; ok {
			s = newer
		}
		v := c.built[s.ID]
		o := outcome{s.ID, v, newStatus(s, v.generation)}
		outcomes = append(outcomes, o)
		if problem := o.problem(); problem != "" {
			logged[s.ID] = problem
		}
		c.logNew(o, c.logged[s.ID])
	}
	c.logged = logged
	c.publish(outcomes)
}

// problem returns what is wrong with a resource, or "".
func (o outcome) problem() string {
	if o.status.IsSuccess {
		return condition(o.status, conditionDegraded).Message
	}
	return o.status.Error
}

// logNew logs the problem of a resource, or its end, if it is not the one before.
func (c *configuration) logNew(o outcome, before string) {
	switch problem := o.problem(); {
	case problem == before:
	case problem == "":
		c.log.Info("a resource has no problem any more", "resource", o.id.String())
	case o.status.IsSuccess:
		c.log.Warn("a key management provider could not be read in full; what it held stays in use", "resource", o.id.String(), "error", problem)
	default:
		if before == "" {
			c.metrics.ConfigurationError()
		}
		c.log.Error("a resource cannot be used", "resource", o.id.String(), "error", problem)
	}
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
