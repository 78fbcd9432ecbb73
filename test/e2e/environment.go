package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/e2e/cluster"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

const (
	// ratifyNamespace and ratifyImage are those of the installation; the role's trust policy names the namespace's ratify-admin.
	ratifyNamespace = "ratify"
	ratifyImage     = "ratify.e2e/ratify"
	ratifyTag       = "e2e"

	gatekeeperNamespace = "gatekeeper-system"
	gatekeeperImage     = "e2e.local/gatekeeper"
	gatekeeperTag       = "v3.23.1"
)

// environment is the cluster, the cloud that it is in, and the results so far.
type environment struct {
	o              options
	home           string // of helm
	theme          string
	passed, failed int
	diagnosed      string          // the theme
	before         map[string]bool // Ratify was installed: see inventory

	cluster  *cluster.Cluster
	cloud    *emulator.Cloud
	world    *scenario.World
	front    *front
	identity *podIdentity
}

// start starts all but Ratify: the cluster, the cloud, the pod identity webhook, Gatekeeper, and what users have in their namespace.
func start(ctx context.Context, o options) (*environment, error) {
	e := &environment{o: o, home: filepath.Join(o.cache, "home")}
	if err := os.MkdirAll(e.home, 0o700); err != nil {
		return nil, err
	}
	if err := e.start(ctx); err != nil {
		if e.cluster != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			diagnoseStart(e.cluster)
			e.diagnose()
		}
		return nil, errors.Join(err, e.stop())
	}
	return e, nil
}

func (e *environment) start(ctx context.Context) (err error) {
	e.cluster, err = cluster.New(cluster.Options{
		Dir: filepath.Join(e.o.cache, "cluster"), Bin: filepath.Join(e.o.cache, "bin"), Issuer: ram.IssuerURL, Zone: "aliyuncs.com", Log: e.say,
	})
	if err != nil {
		return err
	}
	if e.cloud, err = emulator.Start(emulator.Options{ClusterKey: e.cluster.TokenKey()}); err != nil {
		return err
	}
	if e.world, err = scenario.New(e.cloud); err != nil {
		return err
	}
	bin := func(name string) string { return filepath.Join(e.o.cache, "bin", name) }
	if err := e.cluster.Start(ctx, []string{"HTTPS_PROXY=" + e.cloud.ProxyURL(), "SSL_CERT_FILE=" + e.cloud.CAFile()},
		cluster.Image{Name: cluster.PauseImage, Files: map[string]string{"/pause": bin("pause")}, Entrypoint: []string{"/pause"}},
		cluster.Image{Name: cluster.DNSImage, Files: map[string]string{"/coredns": bin("coredns")}, Entrypoint: []string{"/coredns"}},
		cluster.Image{Name: gatekeeperImage + ":" + gatekeeperTag, Files: map[string]string{"/manager": bin("gatekeeper")}, Entrypoint: []string{"/manager"}},
		cluster.Image{Name: ratifyImage, Archive: e.o.image},
	); err != nil {
		return err
	}
	if e.front, err = startFront(cluster.NodeIP+":443", e.cloud.ProxyURL()); err != nil {
		return err
	}
	if e.identity, err = startPodIdentity(ctx, e); err != nil {
		return err
	}
	if err := e.installGatekeeper(ctx); err != nil {
		return err
	}
	e.say("Gatekeeper is ready")
	return e.prepareUsers(ctx, "default")
}

// stop ends all that was started.
func (e *environment) stop() error {
	var errs []error
	if e.identity != nil {
		errs = append(errs, e.identity.close())
	}
	if e.front != nil {
		errs = append(errs, e.front.close())
	}
	if e.cluster != nil {
		errs = append(errs, e.cluster.Stop())
	}
	if e.cloud != nil {
		errs = append(errs, e.cloud.Close())
	}
	return errors.Join(errs...)
}

// installGatekeeper installs it by its own chart, as Ratify's documentation says, and fails closed. Its own namespace is exempt, which
// the chart would say by a hook with another image.
func (e *environment) installGatekeeper(ctx context.Context) error {
	folder, err := gatekeeperChart(ctx)
	if err != nil {
		return err
	}
	if err := e.apply(ctx, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "`+gatekeeperNamespace+`", "labels": {
		"admission.gatekeeper.sh/ignore": "no-self-managing"}}}`); err != nil {
		return err
	}
	_, err = e.helm(ctx, "install", "gatekeeper", folder, "--namespace", gatekeeperNamespace, "--wait", "--timeout=2m",
		"--set", "image.repository="+gatekeeperImage, "--set", "image.release="+gatekeeperTag, "--set", "replicas=1",
		"--set", "postInstall.labelNamespace.enabled=false", "--set", "postInstall.probeWebhook.enabled=false", "--set", "upgradeCRDs.enabled=false",
		"--set", "enableExternalData=true", "--set", "validatingWebhookTimeoutSeconds=5", "--set", "mutatingWebhookTimeoutSeconds=2",
		"--set", "externaldataProviderResponseCacheTTL="+providerCacheTTL, "--set", "validatingWebhookFailurePolicy=Fail",
		"--set", "emitAdmissionEvents=true", "--set", "admissionEventsInvolvedNamespace=true", "--set", "auditInterval=10")
	return err
}

// providerCacheTTL is how long Gatekeeper keeps Ratify's answers: by default 3 minutes, which no check could wait for.
const providerCacheTTL = "1s"

// prepareUsers gives a namespace the secret that its pods pull images with.
func (e *environment) prepareUsers(ctx context.Context, namespace string) error {
	auths := make(map[string]any)
	for _, r := range []scenario.Registry{scenario.Demo, scenario.Legacy, scenario.Standby} {
		user, password := e.cloud.OwnerPassword(r.ID)
		auths[r.Host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}
	}
	docker, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		return err
	}
	secret, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]string{"name": "registries", "namespace": namespace},
		"type": "kubernetes.io/dockerconfigjson", "stringData": map[string]string{".dockerconfigjson": string(docker)},
	})
	if err != nil {
		return err
	}
	if err := e.apply(ctx, string(secret)); err != nil {
		return err
	}
	_, err = e.kubectl(ctx, "patch", "serviceaccount", "default", "--namespace", namespace, "--patch", `{"imagePullSecrets": [{"name": "registries"}]}`)
	return err
}

// push pushes an image that runs, with the signatures of kinds, and returns its name with the tag v1, and its digest.
func (e *environment) push(ctx context.Context, r scenario.Registry, repository string, kinds ...scenario.Kind) (name, digest string, err error) {
	repo, err := signing.Repository(r.Host+"/"+repository, e.cloud.PushTransport(r.ID))
	if err != nil {
		return "", "", err
	}
	image := cluster.Image{
		Files: map[string]string{"/pause": filepath.Join(e.o.cache, "bin", "pause")}, Entrypoint: []string{"/pause"}, User: "65532:65532",
		Labels: map[string]string{"repository": repository},
	}
	var manifest ocispec.Descriptor
	if manifest, err = image.Store(ctx, repo); err != nil {
		return "", "", fmt.Errorf("push %s: %w", repository, err)
	}
	if err := repo.Tag(ctx, manifest, "v1"); err != nil {
		return "", "", err
	}
	for _, kind := range kinds {
		if err := e.world.Sign(ctx, repo, manifest, kind); err != nil {
			return "", "", fmt.Errorf("sign %s: %w", repository, err)
		}
	}
	return r.Host + "/" + repository + ":v1", manifest.Digest.String(), nil
}
