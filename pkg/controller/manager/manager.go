package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	ctrlmanager "sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller/servingcert"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// settle is how long changes wait for those that come with them, so that what is applied together makes one Snapshot. Deletions do not wait.
const settle = 100 * time.Millisecond

// How soon what failed is tried again: at once, then less and less often.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = time.Minute
)

// Options are what a Manager works with and on.
type Options struct {
	// API says where the API server is, and as whom it is asked.
	API *rest.Config
	// Builder makes the Snapshots. Nothing else may use it.
	Builder *controller.Builder
	// Load takes each new Snapshot.
	Load    func(*verification.Snapshot)
	Metrics *metrics.Metrics
	Log     *slog.Logger
	// Names are those of the server: its namespace, where the lease is, too, and its Service, whose name its Deployment has, too.
	Names servingcert.Names
	// Replica is the name of this replica among those that write statuses in turn.
	Replica string
	// KeepCertificate says that the serving certificate is made, renewed and shown from its Secret.
	KeepCertificate bool
}

// Manager follows the resources of a cluster. Make one with New.
type Manager struct {
	// Certificate is what the server shows, with Options.KeepCertificate.
	Certificate *servingcert.Certificate

	manager ctrl.Manager
	keeps   bool
	loaded  atomic.Bool
}

// New returns a Manager. It does not ask the API server anything yet.
func New(o Options) (*Manager, error) {
	scheme, mapper, err := kinds()
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(o.API, ctrl.Options{
		Scheme:         scheme,
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper, nil },
		Logger:         logr.FromSlogHandler(o.Log.Handler()),
		Metrics:        metricsserver.Options{BindAddress: "0"}, // ratify serve has its own
		Cache: cache.Options{
			DefaultTransform: slim,
			ByObject:         map[client.Object]cache.ByObject{&corev1.Secret{}: onlyThe(o.Names)},
		},
		Controller: ctrlconfig.Controller{
			NeedLeaderElection: new(false),
			CacheSyncTimeout:   math.MaxInt64, // an API server that is away, or lacks a kind, must not end the process
			SkipNameValidation: new(true),     // several Managers in one process are fine
		},
	})
	if err != nil {
		return nil, fmt.Errorf("a manager of Kubernetes resources: %w", err)
	}
	m := &Manager{Certificate: &servingcert.Certificate{}, manager: mgr, keeps: o.KeepCertificate}

	statuses := &statuses{client: mgr.GetClient(), log: o.Log, instance: o.Replica, changed: make(chan struct{}, 1)}
	configuration := &configuration{
		reader: mgr.GetCache(), builder: o.Builder, publish: statuses.set, metrics: o.Metrics, log: o.Log,
		load: func(s *verification.Snapshot) {
			m.loaded.Store(true)
			o.Load(s)
		},
		again: make(chan ctrlevent.GenericEvent, 1), rebuilt: make(chan struct{}, 1), read: make(chan struct{}, 1),
	}
	if err := configuration.watch(mgr); err != nil {
		return nil, err
	}
	lock, err := newLock(o.API, mgr.GetAPIReader(), o.Names, o.Replica, o.Log)
	if err != nil {
		return nil, err
	}
	work := statuses.run
	if o.KeepCertificate {
		keeper := servingcert.NewKeeper(mgr.GetAPIReader(), mgr.GetClient(), o.Names, o.Log)
		if err := m.followCertificate(mgr, keeper, o.Log); err != nil {
			return nil, err
		}
		work = func(ctx context.Context) {
			var group sync.WaitGroup
			group.Go(func() { statuses.run(ctx) })
			group.Go(func() { keeper.Run(ctx) })
			group.Wait()
		}
	}
	leader := &leader{lock: lock, work: work, log: o.Log}
	for _, run := range []ctrlmanager.RunnableFunc{configuration.refresh, leader.run} {
		if err := mgr.Add(run); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// onlyThe limits what is read of Secrets to the one of the serving certificate.
func onlyThe(names servingcert.Names) cache.ByObject {
	secret := names.Secret()
	return cache.ByObject{Namespaces: map[string]cache.Config{
		secret.Namespace: {FieldSelector: fields.OneTermEqualSelector("metadata.name", secret.Name)},
	}}
}

// Run follows the resources until ctx ends.
func (m *Manager) Run(ctx context.Context) error { return m.manager.Start(ctx) }

// Ready returns nil once the resources were read, and there is a certificate if it is kept here.
func (m *Manager) Ready() error {
	if !m.loaded.Load() {
		return errors.New("the API server has not listed all of Ratify's resources yet; if that lasts, the log says why")
	}
	if m.keeps {
		return m.Certificate.Ready()
	}
	return nil
}

// watch makes mgr call Reconcile at the start and whenever a resource, or key material, has changed.
func (c *configuration) watch(mgr ctrl.Manager) error {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	all := reconcile.Request{} // all resources are one
	changed := handler.Funcs{
		CreateFunc:  func(_ context.Context, _ ctrlevent.CreateEvent, q queue) { q.AddAfter(all, settle) },
		UpdateFunc:  func(_ context.Context, _ ctrlevent.UpdateEvent, q queue) { q.AddAfter(all, settle) },
		DeleteFunc:  func(_ context.Context, _ ctrlevent.DeleteEvent, q queue) { q.Add(all) },
		GenericFunc: func(_ context.Context, _ ctrlevent.GenericEvent, q queue) { q.Add(all) },
	}
	builder := ctrl.NewControllerManagedBy(mgr).Named("configuration").WithOptions(retries()).
		WatchesRawSource(source.Func(func(_ context.Context, q queue) error { // there may be no resource at all
			q.Add(all)
			return nil
		})).
		WatchesRawSource(source.Channel(c.again, changed))
	for _, kind := range watched {
		builder.Watches(newObject(kind), changed)
	}
	if err := builder.Complete(c); err != nil {
		return fmt.Errorf("watch Ratify's resources: %w", err)
	}
	return nil
}

// followCertificate makes mgr show what is in the Secret, and the keeper look whenever that, or one of Gatekeeper's Providers, has changed.
func (m *Manager) followCertificate(mgr ctrl.Manager, keeper *servingcert.Keeper, log *slog.Logger) error {
	show := func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
		defer keeper.Look()
		var secret corev1.Secret
		if err := mgr.GetClient().Get(ctx, r.NamespacedName, &secret); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err) // what is shown stays
		}
		switch changed, err := m.Certificate.Load(&secret); {
		case err != nil:
			log.Warn("the serving certificate stays as it was until the Secret is right", "error", err)
		case changed:
			log.Info("the server shows another certificate", "secret", r.String())
		}
		return reconcile.Result{}, nil
	}
	err := ctrl.NewControllerManagedBy(mgr).Named("serving-certificate").WithOptions(retries()).For(&corev1.Secret{}).Complete(reconcile.Func(show))
	if err != nil {
		return fmt.Errorf("watch the Secret of the serving certificate: %w", err)
	}
	look := func(context.Context, reconcile.Request) (reconcile.Result, error) {
		keeper.Look()
		return reconcile.Result{}, nil
	}
	// A controller of its own: where Gatekeeper is not installed yet, its kind is missing.
	err = ctrl.NewControllerManagedBy(mgr).Named("providers").WithOptions(retries()).For(servingcert.NewProvider()).Complete(reconcile.Func(look))
	if err != nil {
		return fmt.Errorf("watch Gatekeeper's Providers: %w", err)
	}
	return nil
}

// retries are the options of a controller. Its own would wait for up to a quarter of an hour before it tries again.
func retries() ctrlcontroller.Options {
	return ctrlcontroller.Options{RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstRetry, lastRetry)}
}
