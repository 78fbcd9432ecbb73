package manager

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratify-project/ratify/api/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// newConfiguration returns a configuration of a cluster with one key management provider, and the numbers of Snapshots that it loads.
func newConfiguration(t *testing.T, v *vault, funcs interceptor.Funcs) (*configuration, client.Client, *[]uint64) {
	t.Helper()
	scheme, _, err := kinds()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithInterceptorFuncs(funcs).WithObjects(&v1beta1.KeyManagementProvider{
		ObjectMeta: metav1.ObjectMeta{Name: "kmp", UID: "1", Generation: 1},
		Spec:       v1beta1.KeyManagementProviderSpec{Type: "vault", Parameters: runtime.RawExtension{Raw: []byte(`{"label": "x"}`)}},
	}).Build()
	var loaded []uint64
	return &configuration{
		reader: c, builder: newBuilder(v), publish: func([]outcome) {}, metrics: metrics.New(), log: slog.New(slog.DiscardHandler),
		load:  func(s *verification.Snapshot) { loaded = append(loaded, s.Generation()) },
		again: make(chan ctrlevent.GenericEvent, 1), rebuilt: make(chan struct{}, 1), read: make(chan struct{}, 1),
	}, c, &loaded
}

func (c *configuration) reconcile(t *testing.T) {
	t.Helper()
	if _, err := c.Reconcile(t.Context(), reconcile.Request{}); err != nil {
		t.Fatal(err)
	}
}

// Key material is read when it is due. What changed in it makes one Snapshot, what did not, none, but the status tells of each read.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &vault{content: "one", interval: 10 * time.Minute}
		c, _, loaded := newConfiguration(t, v, interceptor.Funcs{})
		var last status
		c.publish = func(all []outcome) { last = all[0].status }
		c.reconcile(t)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = c.refresh(ctx)
		}()
		for i, step := range []struct {
			content  string
			err      error
			asks     bool
			degraded metav1.ConditionStatus
		}{
			{"one", nil, false, metav1.ConditionFalse},
			{"two", nil, true, metav1.ConditionFalse},
			{"two", errors.New("KMS is down"), false, metav1.ConditionTrue},
			{"two", nil, false, metav1.ConditionFalse},
		} {
			v.set(step.content, step.err)
			time.Sleep(10*time.Minute + time.Second)
			synctest.Wait()
			if asked := len(c.again) == 1; asked != step.asks {
				t.Errorf("step %d: asked for a Snapshot: %t", i, asked)
			}
			before := len(*loaded)
			if step.asks {
				<-c.again
			}
			c.reconcile(t)
			synctest.Wait()
			if made := len(*loaded) - before; (made == 1) != step.asks {
				t.Errorf("step %d: %d Snapshots", i, made)
			}
			if read := last.LastFetchedTime; time.Since(read.Time) > 10*time.Second {
				t.Errorf("step %d: read at %s, which is %s ago", i, read, time.Since(read.Time))
			}
			if got := condition(last, conditionDegraded); got.Status != step.degraded || !last.IsSuccess {
				t.Errorf("step %d: %+v", i, last)
			}
		}
		cancel()
		<-done
	})
}

// The same resources make no other Snapshot; one that was deleted and created again, with the same generation, does.
func TestReconcileOnlyChanges(t *testing.T) {
	c, cluster, loaded := newConfiguration(t, &vault{}, interceptor.Funcs{})
	for range 3 {
		c.reconcile(t)
	}
	if len(*loaded) != 1 {
		t.Errorf("the same resources made %d Snapshots", len(*loaded))
	}
	kmp := &v1beta1.KeyManagementProvider{ObjectMeta: metav1.ObjectMeta{Name: "kmp"}}
	if err := cluster.Delete(t.Context(), kmp); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Create(t.Context(), &v1beta1.KeyManagementProvider{ObjectMeta: metav1.ObjectMeta{Name: "kmp", UID: "2", Generation: 1}}); err != nil {
		t.Fatal(err)
	}
	c.reconcile(t)
	if len(*loaded) != 2 {
		t.Errorf("%d Snapshots, want 2", len(*loaded))
	}
}

// What cannot be listed is no configuration: the last one stays.
func TestReconcileListFails(t *testing.T) {
	c, _, loaded := newConfiguration(t, &vault{}, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			if list.GetObjectKind().GroupVersionKind().Kind == "NamespacedPolicyList" {
				return errors.New("forbidden")
			}
			return c.List(ctx, list, options...)
		},
	})
	if _, err := c.Reconcile(t.Context(), reconcile.Request{}); err == nil || !strings.Contains(err.Error(), "NamespacedPolicy: forbidden") || len(*loaded) > 0 {
		t.Errorf("%d Snapshots: %v", len(*loaded), err)
	}
}

// A Build that ends early, as the process does, is not loaded.
func TestReconcileEnds(t *testing.T) {
	c, _, loaded := newConfiguration(t, &vault{}, interceptor.Funcs{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Reconcile(ctx, reconcile.Request{}); err != nil || len(*loaded) > 0 {
		t.Errorf("%d Snapshots: %v", len(*loaded), err)
	}
}

// A Snapshot that could not be loaded is made again, also if it was asked for by key material only.
func TestReconcileFails(t *testing.T) {
	c, _, loaded := newConfiguration(t, &vault{}, interceptor.Funcs{})
	c.reconcile(t)
	load := c.load
	c.load = func(*verification.Snapshot) { panic("a defect") }
	c.stale.Store(true)
	func() {
		defer func() { _ = recover() }() // as controllers do
		_, _ = c.Reconcile(t.Context(), reconcile.Request{})
	}()
	c.load = load
	c.reconcile(t)
	if len(*loaded) != 2 {
		t.Errorf("%d Snapshots, want 2", len(*loaded))
	}
}
