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

// checkUpgrade installs the chart of Ratify v1.4, as its users have it, and upgrades it to ours, and ours to itself with other values.
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
	upgrade := func(what string, atMost time.Duration, arguments ...string) {
		e.check(ctx, what, func(ctx context.Context) error {
			before, err := e.uids(ctx)
			if err != nil {
				return err
			}
			values, err := e.values()
			if err != nil {
				return err
			}
			probe, err := e.startProbe(ctx, good, bad)
			if err != nil {
				return err
			}
			_, err = e.helm(ctx, append(append([]string{"upgrade", "ratify", chart, "--namespace", ratifyNamespace, "--wait", "--timeout=2m"}, values...), arguments...)...)
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
	upgrade("helm upgrade to ours: no unprotected moment, the same resources", 3*time.Second, "--take-ownership")
	// As docs/chart.md says: upstream's chart makes it without a key to trust, and ours does not.
	if _, err := e.kubectl(ctx, "delete", "verifiers.config.ratify.deislabs.io", "verifier-cosign"); err != nil {
		return err
	}
	upgrade("helm upgrade of ours with other values, likewise, and no failed admission", 0, "--set", "replicaCount=2", "--set", "podLabels.changed=yes")
	return checkUninstall(ctx, e)
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
