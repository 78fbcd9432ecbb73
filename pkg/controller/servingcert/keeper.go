package servingcert

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// checkEvery is when the Secret is looked at although nothing changed. It is short beside renewAhead.
	checkEvery = time.Hour
	// retryAfter is when it is looked at again after an error, and not before: an attempt may make keys, and write to what is watched.
	retryAfter = 5 * time.Second
	// callTimeout bounds the calls to the API server of one look.
	callTimeout = 30 * time.Second
)

// providerKind is the kind of Gatekeeper's resources that hold the authority.
var providerKind = schema.GroupVersionKind{Group: "externaldata.gatekeeper.sh", Version: "v1beta1", Kind: "Provider"}

// providers are the names of those resources in Ratify's chart.
var providers = []string{"ratify-provider", "ratify-mutation-provider"}

// NewProvider returns an empty resource of that kind.
func NewProvider() *unstructured.Unstructured {
	provider := &unstructured.Unstructured{}
	provider.SetGroupVersionKind(providerKind)
	return provider
}

// Names says whose certificate it is.
type Names struct{ Namespace, Service string }

// Secret returns the name of the Secret.
func (n Names) Secret() types.NamespacedName {
	return types.NamespacedName{Namespace: n.Namespace, Name: n.Service + "-tls"}
}

// DNSName returns the name under which Gatekeeper reaches the server.
func (n Names) DNSName() string { return n.Service + "." + n.Namespace }

// Keeper renews the Secret and tells Gatekeeper the authority. Make one with NewKeeper.
type Keeper struct {
	reader client.Reader
	writer client.Writer
	names  Names
	log    *slog.Logger
	look   chan struct{}
}

// NewKeeper returns a Keeper. The reader should read from the API server, not from a cache.
func NewKeeper(reader client.Reader, writer client.Writer, names Names, log *slog.Logger) *Keeper {
	return &Keeper{reader: reader, writer: writer, names: names, log: log, look: make(chan struct{}, 1)}
}

// Look makes Run look at once: something may have changed.
func (k *Keeper) Look() {
	select {
	case k.look <- struct{}{}:
	default:
	}
}

// Run keeps the Secret and the Providers right until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	for ctx.Err() == nil {
		again, look := checkEvery, k.look
		if err := k.keep(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("the serving certificate could not be kept", "error", err)
			again, look = retryAfter, nil
		}
		select {
		case <-ctx.Done():
			return
		case <-look:
		case <-time.After(again):
		}
	}
}

// keep does it once.
func (k *Keeper) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var secret corev1.Secret
	err := k.reader.Get(ctx, k.names.Secret(), &secret)
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("secret %s is not there: create it empty, or install the chart again: %w", k.names.Secret(), err)
	}
	if err != nil {
		return fmt.Errorf("read secret %s: %w", k.names.Secret(), err)
	}
	now := time.Now()
	data, err := renew(secret.Data, k.names.DNSName(), now)
	if err != nil {
		return err
	}
	if data == nil {
		return k.tellProviders(ctx, secret.Data[authorityKey])
	}
	// Gatekeeper first: what is in the Secret is shown at once.
	told := k.tellProviders(ctx, data[authorityKey])
	if told != nil && accepted(secret.Data, k.names.DNSName(), now) {
		return fmt.Errorf("the serving certificate stays as it is until Gatekeeper is told: %w", told)
	}
	secret.Data = data
	if err := k.writer.Update(ctx, &secret); err != nil {
		return errors.Join(told, fmt.Errorf("update secret %s: %w", k.names.Secret(), err))
	}
	k.log.Info("the serving certificate was renewed", "secret", k.names.Secret())
	return told
}

// tellProviders writes the authority to all Providers that are there.
func (k *Keeper) tellProviders(ctx context.Context, authority []byte) error {
	var failed []error
	for _, name := range providers {
		if err := k.tellProvider(ctx, name, base64.StdEncoding.EncodeToString(authority)); err != nil {
			failed = append(failed, fmt.Errorf("write the authority of the serving certificate to provider %s: %w", name, err))
		}
	}
	return errors.Join(failed...)
}

func (k *Keeper) tellProvider(ctx context.Context, name, bundle string) error {
	provider := NewProvider()
	if err := k.reader.Get(ctx, types.NamespacedName{Name: name}, provider); err != nil {
		return client.IgnoreNotFound(err) // the chart has the one for mutation only if it is wanted
	}
	if told, _, _ := unstructured.NestedString(provider.Object, "spec", "caBundle"); told == bundle {
		return nil
	}
	if err := unstructured.SetNestedField(provider.Object, bundle, "spec", "caBundle"); err != nil {
		return err
	}
	if err := k.writer.Update(ctx, provider); err != nil {
		return err
	}
	k.log.Info("Gatekeeper was told the authority of the serving certificate", "provider", name)
	return nil
}
