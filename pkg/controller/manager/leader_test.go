package manager

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lease is a lock that can be out of reach.
type lease struct {
	mu     sync.Mutex
	record *resourcelock.LeaderElectionRecord
	err    error
}

func (l *lease) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *lease) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, nil, l.err
	}
	if l.record == nil {
		return nil, nil, apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, leaseName)
	}
	raw, err := json.Marshal(l.record)
	return l.record, raw, err
}

func (l *lease) Update(_ context.Context, record resourcelock.LeaderElectionRecord) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.record = &record
	}
	return l.err
}

func (l *lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.Update(ctx, record)
}
func (l *lease) RecordEvent(string) {}
func (l *lease) Identity() string   { return "replica" }
func (l *lease) Describe() string   { return "lease" }

// A leader that cannot renew its lease stops working, not running, and works again when it can.
func TestLeaderLosesLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lock := &lease{}
		var terms, working atomic.Int64
		l := &leader{lock: lock, log: slog.New(slog.DiscardHandler), work: func(ctx context.Context) {
			terms.Add(1)
			working.Add(1)
			<-ctx.Done()
			working.Add(-1)
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.run(ctx) }()
		expect := func(when string, wantTerms, wantWorking int64) {
			t.Helper()
			synctest.Wait()
			if terms.Load() != wantTerms || working.Load() != wantWorking {
				t.Errorf("%s: term %d, %d working; want %d, %d", when, terms.Load(), working.Load(), wantTerms, wantWorking)
			}
		}
		expect("at first", 1, 1)
		lock.fail(errors.New("the API server is away"))
		time.Sleep(renewDeadline / 2)
		expect("in a short outage", 1, 1)
		time.Sleep(2 * renewDeadline)
		expect("in a long outage", 1, 0)
		lock.fail(nil)
		time.Sleep(leaseDuration + 2*retryPeriod)
		expect("after it", 2, 1)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		expect("at the end", 2, 0)
		if lock.record.HolderIdentity != "" {
			t.Errorf("the lease is still held by %s", lock.record.HolderIdentity)
		}
	})
}
