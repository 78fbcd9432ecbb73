package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlevent "sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller/servingcert"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// settle is how long changes wait for those that come with them, so that what is applied together makes one Snapshot. Deletions do not wait.
const settle = 100 * time.Millisecond

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

// Manager follows the resources of a cluster. Make one with New. It does without controller-runtime's, with which the program would contain
// webhooks, profiles and recorders of events.
type Manager struct {
	// Certificate is what the server shows, with Options.KeepCertificate.
	Certificate *servingcert.Certificate

	cache   cache.Cache
	workers []*worker
	run     []func(context.Context) error // what else runs
	keeps   bool
	loaded  atomic.Bool
}

// New returns a Manager. It does not ask the API server anything yet.
func New(o Options) (*Manager, error) {
	scheme, mapper, err := kinds()
	if err != nil {
		return nil, err
	}
	reads, err := cache.New(o.API, cache.Options{
		Scheme: scheme, Mapper: mapper, DefaultTransform: slim,
		ByObject: map[client.Object]cache.ByObject{&corev1.Secret{}: onlyThe(o.Names)},
	})
	if err != nil {
		return nil, fmt.Errorf("a cache of Kubernetes resources: %w", err)
	}
	direct, err := client.New(o.API, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, fmt.Errorf("a client of the API server: %w", err)
	}
	m := &Manager{Certificate: &servingcert.Certificate{}, cache: reads, keeps: o.KeepCertificate}

	statuses := &statuses{client: direct, log: o.Log, instance: o.Replica, changed: make(chan struct{}, 1)}
	configuration := &configuration{
		reader: reads, builder: o.Builder, publish: statuses.set, metrics: o.Metrics, log: o.Log,
		load: func(s *verification.Snapshot) {
			m.loaded.Store(true)
			o.Load(s)
		},
		again: make(chan ctrlevent.GenericEvent, 1), rebuilt: make(chan struct{}, 1), read: make(chan struct{}, 1),
	}
	m.workers = append(m.workers, configuration.follow())
	lock, err := newLock(o.API, direct, o.Names, o.Replica, o.Log)
	if err != nil {
		return nil, err
	}
	work := statuses.run
	if o.KeepCertificate {
		keeper := servingcert.NewKeeper(direct, direct, o.Names, o.Log)
		m.followCertificate(o.Names, keeper, o.Log)
		work = func(ctx context.Context) {
			var group sync.WaitGroup
			group.Go(func() { statuses.run(ctx) })
			group.Go(func() { keeper.Run(ctx) })
			group.Wait()
		}
	}
	leader := &leader{lock: lock, work: work, log: o.Log}
	m.run = append(m.run, configuration.refresh, leader.run)
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
func (m *Manager) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.cache.Start(ctx) })
	for _, w := range m.workers {
		group.Go(func() error { return w.run(ctx, m.cache) })
	}
	for _, run := range m.run {
		group.Go(func() error { return run(ctx) })
	}
	return group.Wait()
}

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

// follow returns what calls Reconcile at the start and whenever a resource, or key material, has changed.
func (c *configuration) follow() *worker {
	w := &worker{name: "Ratify's resources", settle: settle, again: c.again, log: c.log}
	for _, kind := range watched {
		w.kinds = append(w.kinds, newObject(kind))
	}
	w.work = func(ctx context.Context) error {
		_, err := c.Reconcile(ctx, reconcile.Request{})
		return err
	}
	return w
}

// followCertificate adds what shows the certificate that is in the Secret, and makes the keeper look whenever that, or one of Gatekeeper's
// Providers, has changed.
func (m *Manager) followCertificate(names servingcert.Names, keeper *servingcert.Keeper, log *slog.Logger) {
	show := func(ctx context.Context) error {
		defer keeper.Look()
		var secret corev1.Secret
		if err := m.cache.Get(ctx, names.Secret(), &secret); err != nil {
			return client.IgnoreNotFound(err) // what is shown stays
		}
		switch changed, err := m.Certificate.Load(&secret); {
		case err != nil:
			log.Warn("the serving certificate stays as it was until the Secret is right", "error", err)
		case changed:
			log.Info("the server shows another certificate", "secret", names.Secret().String())
		}
		return nil
	}
	look := func(context.Context) error {
		keeper.Look()
		return nil
	}
	m.workers = append(m.workers,
		&worker{name: "the Secret of the serving certificate", work: show, kinds: []client.Object{&corev1.Secret{}}, log: log},
		// A worker of its own: where Gatekeeper is not installed yet, its kind is missing.
		&worker{name: "Gatekeeper's Providers", work: look, kinds: []client.Object{servingcert.NewProvider()}, log: log},
	)
}
