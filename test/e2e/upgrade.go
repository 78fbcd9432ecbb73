package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/e2e/cluster"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// ratifyResources are the custom resources of an installation.
const ratifyResources = "stores,verifiers,policies,keymanagementproviders"

// checkUpgrade installs the chart of Ratify v1.4, as its users have it, and upgrades it to ours, ours to the next version, and goes back.
func checkUpgrade(ctx context.Context, e *environment) error {
	good, _, err := e.push(ctx, scenario.Demo, "upgrade/good", scenario.SignedJWS)
	if err != nil {
		return err
	}
	bad, _, err := e.push(ctx, scenario.Demo, "upgrade/bad", scenario.Unsigned)
	if err != nil {
		return err
	}
	if !e.check(ctx, "Ratify v1.4.6 runs by its own chart", func(ctx context.Context) error {
		if err := e.installUpstream(ctx); err != nil {
			return err
		}
		return eventually(ctx, time.Minute, func(ctx context.Context) error {
			return errors.Join(e.admitted(ctx, "default", good), e.refused(ctx, "default", bad))
		})
	}) {
		return errors.New("there is nothing to upgrade")
	}
	values, err := e.values()
	if err != nil {
		return err
	}
	change := func(what string, atMost time.Duration, arguments ...string) {
		e.check(ctx, what, func(ctx context.Context) error {
			before, err := e.uids(ctx)
			if err != nil {
				return err
			}
			probe, err := e.startProbe(ctx, good, bad)
			if err != nil {
				return err
			}
			_, err = e.helm(ctx, append(arguments, "--namespace", ratifyNamespace, "--wait", "--timeout=2m")...)
			err = errors.Join(err, probe.stop(atMost))
			after, listing := e.uids(ctx)
			if err = errors.Join(err, listing); err != nil {
				return err
			}
			for name, uid := range before {
				if after[name] != uid {
					err = errors.Join(err, fmt.Errorf("%s was made anew: its UID was %s and is %q", name, uid, after[name]))
				}
			}
			return err
		})
	}
	// A pod of Ratify v1.4 that is told to end closes its port before kube-proxy knows.
	change("helm upgrade to ours: no unprotected moment, the same resources", 3*time.Second,
		append([]string{"upgrade", "ratify", chart, "--take-ownership"}, values...)...)
	// As docs/chart.md says: upstream's chart makes it without a key to trust, and ours does not.
	if _, err := e.kubectl(ctx, "delete", "verifiers.config.ratify.deislabs.io", "verifier-cosign"); err != nil {
		return err
	}
	former, err := e.version(ctx)
	if err != nil {
		return err
	}
	following, err := e.nextChart(ctx)
	if err != nil {
		return err
	}
	change("helm upgrade of ours to the next version, slim and with two replicas, likewise, and no failed admission", 0, append(append([]string{
		"upgrade", "ratify", following}, values...), "--set", "image.tag=v"+next, "--set", "image.variant=slim", "--set", "replicaCount=2")...)
	e.check(ctx, "which is what runs", func(ctx context.Context) error { return e.isVersion(ctx, "v"+next+"-slim") })
	change("helm rollback, likewise", 0, "rollback", "ratify")
	e.check(ctx, "and the former version runs", func(ctx context.Context) error { return e.isVersion(ctx, former) })
	return checkUninstall(ctx, e)
}

// next is the version that follows the chart's. run.sh builds its image.
const next = "0.2.0"

// nextChart packages our chart as that of the next version, gives its image to the node, and returns the package's path.
func (e *environment) nextChart(ctx context.Context) (string, error) {
	if err := e.cluster.Import(ctx, cluster.Image{Name: ratifyImage + ":v" + next + "-slim", Archive: e.o.next}); err != nil {
		return "", err
	}
	_, err := e.helm(ctx, "package", chart, "--version", next, "--app-version", "v"+next, "--destination", e.home)
	return filepath.Join(e.home, "ratify-"+next+".tgz"), err
}

// version asks the program in a pod of Ratify for its version.
func (e *environment) version(ctx context.Context) (string, error) {
	return e.kubectl(ctx, "exec", "--namespace", ratifyNamespace, "deployment/ratify", "--", "/app/ratify", "version")
}

// isVersion waits until what a pod says of its version contains a text: pods from before the change may still be ending.
func (e *environment) isVersion(ctx context.Context, want string) error {
	return eventually(ctx, back, func(ctx context.Context) error {
		got, err := e.version(ctx)
		if err == nil && !strings.Contains(got, want) {
			err = fmt.Errorf("it is not %s: %s", want, got)
		}
		return err
	})
}

// upstreamImage is the name of an image of Ratify v1.4.6, which run.sh builds the program of.
const upstreamImage = "ratify.e2e/upstream"

// installUpstream installs Ratify v1.4.6 by its own chart.
func (e *environment) installUpstream(ctx context.Context) error {
	if err := e.cluster.Import(ctx, cluster.Image{Name: upstreamImage + ":v1.4.6", Files: map[string]string{"/app/ratify": "bin/upstream-ratify"}, User: "65532:65532"}); err != nil {
		return err
	}
	folder, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ratify-project/ratify").Output()
	if err != nil {
		return err
	}
	if _, err := e.kubectl(ctx, "label", "namespace", ratifyNamespace, injectionLabel+"=on", "--overwrite"); err != nil {
		return err
	}
	_, err = e.helm(ctx, "install", "ratify", filepath.Join(strings.TrimSpace(string(folder)), "charts/ratify"), "--namespace", ratifyNamespace, "--wait", "--timeout=2m",
		"--set", "image.repository="+upstreamImage, "--set", "image.tag=v1.4.6", "--set", "image.pullPolicy=Never", "--set", "upgradeCRDs.enabled=false",
		"--set", "serviceAccount.annotations.pod-identity\\.alibabacloud\\.com/role-name=ratify-role",
		"--set", "oras.authProviders.alibabacloudAcrBasicEnabled=true", "--set", "alibabacloudAcrConfig.defaultInstanceId="+scenario.Demo.ID,
		"--set-file", "notationCerts[0]="+filepath.Join(e.home, "root.crt"), "--set", "featureFlags.RATIFY_CERT_ROTATION=true")
	return err
}

// uids returns the UIDs of Ratify's resources and of Gatekeeper's Providers of it, by name.
func (e *environment) uids(ctx context.Context) (map[string]string, error) {
	list, err := e.kubectl(ctx, "get", ratifyResources+",providers.externaldata.gatekeeper.sh", "--output",
		`jsonpath={range .items[*]}{.kind}/{.metadata.name} {.metadata.uid}{"\n"}{end}`)
	uids := make(map[string]string)
	for line := range strings.Lines(list) {
		if name, uid, found := strings.Cut(strings.TrimSpace(line), " "); found {
			uids[name] = uid
		}
	}
	return uids, err
}
