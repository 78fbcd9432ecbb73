package manager

import (
	"context"
	"fmt"
	"log/slog"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ownerTimeout bounds the question for the lease's owner, so that one that hangs leaves time to renew the lease.
const ownerTimeout = renewDeadline / 2

var deploymentKind = appsv1.SchemeGroupVersion.WithKind("Deployment")

// ownedLeases writes the lease as a dependent of the Deployment of this replica: Kubernetes removes it after the Deployment, which the replicas
// cannot do themselves, as helm uninstall takes their rights away before they end.
type ownedLeases struct {
	coordination.LeaseInterface
	reader     client.Reader
	deployment types.NamespacedName
	log        *slog.Logger

	owners []metav1.OwnerReference
	known  bool // also that there is none
}

func (l *ownedLeases) Leases(string) coordination.LeaseInterface { return l }

func (l *ownedLeases) Create(ctx context.Context, lease *coordinationv1.Lease, o metav1.CreateOptions) (*coordinationv1.Lease, error) {
	l.own(ctx, lease)
	return l.LeaseInterface.Create(ctx, lease, o)
}

func (l *ownedLeases) Update(ctx context.Context, lease *coordinationv1.Lease, o metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	l.own(ctx, lease)
	return l.LeaseInterface.Update(ctx, lease, o)
}

// own sets the owner. A lease without one is as good, but stays when Ratify is uninstalled.
func (l *ownedLeases) own(ctx context.Context, lease *coordinationv1.Lease) {
	if !l.known {
		ctx, cancel := context.WithTimeout(ctx, ownerTimeout)
		defer cancel()
		deployment := &unstructured.Unstructured{}
		deployment.SetGroupVersionKind(deploymentKind)
		err := l.reader.Get(ctx, l.deployment, deployment)
		switch {
		case err == nil:
			l.owners = []metav1.OwnerReference{{
				APIVersion: appsv1.SchemeGroupVersion.String(), Kind: deploymentKind.Kind, Name: deployment.GetName(), UID: deployment.GetUID()}}
			l.known = true
		case apierrors.IsNotFound(err), apierrors.IsForbidden(err): // another name than the chart's, or its former role
			l.known = true
			fallthrough
		default:
			l.log.Warn(fmt.Sprintf("lease %s stays when Ratify is uninstalled: its owner, deployment %s, could not be read", leaseName, l.deployment), "error", err)
		}
	}
	if l.owners != nil {
		lease.OwnerReferences = l.owners
	}
}
