package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ratify-project/ratify/api/v1beta1"
	"github.com/sirupsen/logrus"
	"sigs.k8s.io/yaml"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/builtin"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
	server "github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/gatekeeper"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/gatekeeper"
)

// askTimeout is a request's time: rows run beside others on whatever machine there is.
const askTimeout = 30 * time.Second

// cluster is Ratify as it runs in one, without the API server: resources go in, and it is asked as Gatekeeper does.
type cluster struct {
	builder   controller.Builder
	resources controller.Resources
	engine    *verification.Engine
	server    *httptest.Server
	client    *http.Client
}

func (e *environment) startCluster() (*cluster, error) {
	for _, variable := range e.world.Cloud.PodEnv() {
		if name, value, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "ALIBABA_CLOUD_") { // the rest comes with the transport
			if err := os.Setenv(name, value); err != nil {
				return nil, err
			}
		}
	}
	log, m := slog.New(slog.DiscardHandler), metrics.New()
	logrus.SetLevel(logrus.WarnLevel) // upstream's parts tell which they are
	c := &cluster{
		builder: controller.Builder{
			Factories:     builtin.Factories(builtin.Options{Transport: e.world.Cloud.Transport(), UserAgent: "interop", Metrics: m, Log: log}),
			VerifyTimeout: askTimeout,
		},
		engine: verification.NewEngine(verification.Options{}),
	}
	c.server = httptest.NewServer(server.NewHandler(func() server.Session { return c.engine.Begin() }, server.HandlerOptions{Metrics: m, Log: log}))
	c.client = c.server.Client()
	return c, nil
}

func (c *cluster) stop() { c.server.Close() }

// apply makes the resources of the manifests, separated by ---, all there are. It returns the errors in their statuses, by resource.
func (c *cluster) apply(ctx context.Context, manifests string) (map[string]string, error) {
	var r controller.Resources
	for document := range strings.SplitSeq(manifests, "\n---\n") {
		if err := add(&r, []byte(document)); err != nil {
			return nil, err
		}
	}
	c.resources = r
	return c.build(ctx), nil
}

// build makes the resources the configuration, and returns the errors in their statuses.
func (c *cluster) build(ctx context.Context) map[string]string {
	snapshot, statuses := c.builder.Build(ctx, c.resources)
	c.engine.Load(snapshot)
	wrong := make(map[string]string)
	for _, status := range statuses {
		if status.Err != nil {
			wrong[status.ID.String()] = status.Err.Error()
		}
	}
	return wrong
}

// refresh waits until key management providers are due and reads them again.
func (c *cluster) refresh(ctx context.Context) error {
	due := time.NewTimer(time.Until(c.builder.Due()))
	defer due.Stop()
	select {
	case <-due.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	var changed atomic.Bool
	c.builder.Refresh(ctx, func(other bool) {
		if other {
			changed.Store(true)
		}
	})()
	if changed.Load() {
		c.build(ctx)
	}
	return nil
}

func add(r *controller.Resources, document []byte) error {
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	switch kind.Kind {
	case "Store":
		return decode(document, &r.Stores)
	case "Verifier":
		return decode(document, &r.Verifiers)
	case "Policy":
		return decode(document, &r.Policies)
	case "KeyManagementProvider":
		return decode(document, &r.KeyManagementProviders)
	case "NamespacedStore":
		return decode(document, &r.NamespacedStores)
	case "NamespacedVerifier":
		return decode(document, &r.NamespacedVerifiers)
	case "NamespacedPolicy":
		return decode(document, &r.NamespacedPolicies)
	case "NamespacedKeyManagementProvider":
		return decode(document, &r.NamespacedKeyManagementProviders)
	}
	return fmt.Errorf("manifest of kind %q", kind.Kind)
}

// decode adds a manifest to those of its kind.
func decode[T v1beta1.Store | v1beta1.Verifier | v1beta1.Policy | v1beta1.KeyManagementProvider | v1beta1.NamespacedStore |
	v1beta1.NamespacedVerifier | v1beta1.NamespacedPolicy | v1beta1.NamespacedKeyManagementProvider](document []byte, to *[]T) error {
	var resource T
	if err := yaml.UnmarshalStrict(document, &resource); err != nil {
		return fmt.Errorf("manifest: %w", err)
	}
	*to = append(*to, resource)
	return nil
}

// ask asks as Gatekeeper does about a key, an image or [namespace]image.
func (c *cluster) ask(ctx context.Context, key string) (verdict, error) {
	a, err := gatekeeper.Ask(ctx, c.client, c.server.URL, key)
	if err != nil {
		return verdict{}, err
	}
	admitted, decided := a.Verdicts[key]
	switch {
	case !decided || a.SystemError != "":
		return verdict{"undetermined", a.Text}, nil
	case admitted:
		return verdict{"verified", a.Text}, nil
	}
	return verdict{"refused", a.Text}, nil
}
