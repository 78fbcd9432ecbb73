package manager

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
)

// How soon work that failed is tried again: at once, then less and less often.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = time.Minute
)

// worker does its work once all objects of its kinds were read, and again whenever one has changed, one call at a time. Changes in the meantime
// make one call.
type worker struct {
	name  string
	work  func(context.Context) error
	kinds []client.Object
	// settle is how long changes, but not deletions, wait for those that come with them.
	settle time.Duration
	// again asks for a call besides; nil: nobody does.
	again <-chan ctrlevent.GenericEvent
	log   *slog.Logger
}

// run works until ctx ends. A kind that the API server lacks, or cannot list now, keeps it waiting.
func (w *worker) run(ctx context.Context, informers ctrlcache.Informers) error {
	type all struct{} // what there is to do is one thing
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[all](firstRetry, lastRetry))
	defer queue.ShutDown()
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group.Go(func() {
		defer queue.ShutDown()
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.again:
				queue.Add(all{})
			}
		}
	})

	queue.Add(all{}) // there may be no object at all
	later := func() { queue.AddAfter(all{}, w.settle) }
	var read []cache.InformerSynced
	for _, kind := range w.kinds {
		informer, err := informers.GetInformer(ctx, kind, ctrlcache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("%s: watch %s: %w", w.name, kind.GetObjectKind().GroupVersionKind().Kind, err)
		}
		handler, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { later() }, UpdateFunc: func(any, any) { later() }, DeleteFunc: func(any) { queue.Add(all{}) },
		})
		if err != nil {
			return fmt.Errorf("%s: watch %s: %w", w.name, kind.GetObjectKind().GroupVersionKind().Kind, err)
		}
		read = append(read, handler.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), read...) {
		return nil // ctx has ended
	}
	for {
		item, ended := queue.Get()
		if ended || ctx.Err() != nil {
			return nil
		}
		if err := w.try(ctx); err != nil && ctx.Err() == nil {
			w.log.Error("a change could not be followed; it will be tried again", "what", w.name, "error", err)
			queue.AddRateLimited(item)
		} else {
			queue.Forget(item)
		}
		queue.Done(item)
	}
}

// try works once. A panic is an error: it must not end the process, which serves with what it has.
func (w *worker) try(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return w.work(ctx)
}
