package manager

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller/servingcert"
)

// leaseName is the name of the lease in the namespace of the replicas.
const leaseName = "ratify-alibabacloud"

// The times of Kubernetes' own controllers.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// leader works while it holds the lease, again and again. A manager's own election ends the process with the first term.
type leader struct {
	lock resourcelock.Interface
	work func(context.Context)
	log  *slog.Logger
}

// newLock returns the lease for which identity stands, as a dependent of the Deployment, which has the name of the Service.
func newLock(config *rest.Config, reader client.Reader, names servingcert.Names, identity string, log *slog.Logger) (resourcelock.Interface, error) {
	config = rest.CopyConfig(config)
	config.Timeout = renewDeadline / 2 // a call that hangs leaves time for another one
	leases, err := coordination.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("a client for leases: %w", err)
	}
	return &resourcelock.LeaseLock{
		LeaseMeta: metav1.ObjectMeta{Namespace: names.Namespace, Name: leaseName},
		Client: &ownedLeases{
			LeaseInterface: leases.Leases(names.Namespace), reader: reader, log: log,
			deployment: types.NamespacedName{Namespace: names.Namespace, Name: names.Service},
		},
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}, nil
}

// run stands for the lease until ctx ends.
func (l *leader) run(ctx context.Context) error {
	terms := make(chan context.Context)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case term := <-terms:
				l.log.Info("this replica writes statuses now")
				l.work(term)
				l.log.Info("this replica does not write statuses any more")
			}
		}
	})
	for ctx.Err() == nil {
		elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
			Lock:          l.lock,
			LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
			ReleaseOnCancel: true, // what a term wrote is right whoever writes next
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(term context.Context) {
					select {
					case terms <- term:
					case <-term.Done():
					}
				},
				OnStoppedLeading: func() {},
			},
			Name: leaseName,
		})
		if err != nil {
			return fmt.Errorf("stand for lease %s: %w", leaseName, err)
		}
		elector.Run(ctx)
	}
	return nil
}
