package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// chart is where our chart is, seen from the repository's root.
const chart = "charts/ratify"

// values are those of the guide for Container Registry with RRSA, as a platform engineer sets them, and the names of our image.
func (e *environment) values() ([]string, error) {
	root := filepath.Join(e.home, "root.crt")
	if err := os.WriteFile(root, []byte(e.world.Root()), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"--set", "image.repository=" + ratifyImage, "--set", "image.tag=" + ratifyTag, "--set", "image.pullPolicy=Never",
		"--set", "alibabacloud.rrsa.roleName=ratify-role",
		"--set", "oras.authProviders.alibabacloudAcrBasicEnabled=true",
		"--set", "alibabacloudAcrConfig.defaultInstanceId=" + scenario.Demo.ID,
		"--set", "alibabacloudAcrConfig.acrInstancesConfig[0].instanceName=" + scenario.Legacy.Name,
		"--set", "alibabacloudAcrConfig.acrInstancesConfig[0].instanceId=" + scenario.Legacy.ID,
		"--set", "alibabacloudAcrConfig.acrInstancesConfig[1].instanceName=" + scenario.Standby.Name,
		"--set", "alibabacloudAcrConfig.acrInstancesConfig[1].instanceId=" + scenario.Standby.ID,
		"--set-file", "notationCerts[0]=" + root,
		"--set", "featureFlags.RATIFY_CERT_ROTATION=true",
		"--set", "gatekeeper.clientCertificate.required=true",
		"--set", "gatekeeper.clientCertificate.caSecret=gatekeeper-ca",
	}, nil
}

func checkInstall(ctx context.Context, e *environment) (err error) {
	if e.before, err = e.inventory(ctx); err != nil {
		return err
	}
	if !e.check(ctx, "helm install with the guide's values", e.install) {
		return errors.New("nothing can be checked without an installation")
	}
	e.check(ctx, "resources are there and right", func(ctx context.Context) error {
		for _, resource := range []string{"store/store-oras", "verifier/verifier-notation", "policy/ratify-policy", "keymanagementprovider/ratify-notation-inline-cert-0"} {
			if err := e.isRight(ctx, resource); err != nil {
				return err
			}
		}
		return nil
	})
	e.check(ctx, "helm test", func(ctx context.Context) error {
		_, err := e.helm(ctx, "test", "ratify", "--namespace", ratifyNamespace, "--timeout=1m")
		if err != nil {
			log, _ := e.kubectl(ctx, "logs", "ratify-test-connection", "--namespace", ratifyNamespace)
			err = fmt.Errorf("%w\n%s", err, log)
		}
		return err
	})
	if !e.check(ctx, "the library's constraint denies", func(ctx context.Context) error {
		if err := e.applyLibrary(ctx); err != nil {
			return err
		}
		image, _, err := e.push(ctx, scenario.Demo, "smoke/first", scenario.Unsigned)
		if err != nil {
			return err
		}
		return eventually(ctx, time.Minute, func(ctx context.Context) error {
			return e.refused(ctx, "default", image, image[:strings.LastIndex(image, ":")])
		})
	}) {
		return errors.New("nothing can be checked before anything is denied")
	}
	return nil
}

// install installs Ratify. Its namespace has what is not the chart's: the CA of Gatekeeper's client certificate, and the emulated cloud's.
func (e *environment) install(ctx context.Context) error {
	if err := e.apply(ctx, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "`+ratifyNamespace+`"}}`); err != nil {
		return err
	}
	if err := e.copyGatekeeperCA(ctx); err != nil {
		return err
	}
	if _, err := e.kubectl(ctx, "create", "configmap", cloudCA, "--namespace", ratifyNamespace, "--from-file=ca.pem="+e.cloud.CAFile()); err != nil {
		return err
	}
	values, err := e.values()
	if err != nil {
		return err
	}
	_, err = e.helm(ctx, append([]string{"install", "ratify", chart, "--namespace", ratifyNamespace, "--wait", "--timeout=2m"}, values...)...)
	return err
}

// copyGatekeeperCA gives Ratify's namespace the authority of Gatekeeper's client certificate, without its key.
func (e *environment) copyGatekeeperCA(ctx context.Context) error {
	var ca string
	err := eventually(ctx, time.Minute, func(ctx context.Context) (err error) {
		ca, err = e.kubectl(ctx, "get", "secret", gatekeeperSecret, "--namespace", gatekeeperNamespace, "--output", `jsonpath={.data.ca\.crt}`)
		if err == nil && ca == "" {
			err = errors.New("the secret has no certificate of Gatekeeper's yet")
		}
		return err
	})
	if err != nil {
		return err
	}
	return e.apply(ctx, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "gatekeeper-ca", "namespace": "`+ratifyNamespace+`"}, "data": {"ca.crt": "`+ca+`"}}`)
}

// applyLibrary applies the template and the constraint, which is of a kind that Gatekeeper makes of the template.
func (e *environment) applyLibrary(ctx context.Context) error {
	if _, err := e.kubectl(ctx, "apply", "--filename=library/default/template.yaml"); err != nil {
		return err
	}
	return eventually(ctx, time.Minute, func(ctx context.Context) error {
		_, err := e.kubectl(ctx, "apply", "--filename=library/default/samples/constraint.yaml")
		return err
	})
}

// isRight checks the status of a resource, which is written soon after it is.
func (e *environment) isRight(ctx context.Context, resource string) error {
	return eventually(ctx, 30*time.Second, func(ctx context.Context) error {
		status, err := e.kubectl(ctx, "get", resource, "--output", `jsonpath={.status.issuccess} {.status.error}`)
		if err == nil && strings.TrimSpace(status) != "true" {
			err = fmt.Errorf("%s: status %q", resource, status)
		}
		return err
	})
}

// kinds are the kinds of images that must not run, and what is said of them.
var kinds = []struct {
	name   string
	kind   scenario.Kind
	reason string
}{
	{"unsigned", scenario.Unsigned, "no signature"},
	{"tampered", scenario.Tampered, "the signature envelope is damaged"},
	{"stranger", scenario.Stranger, "no trust store holds the issuer"},
	{"expired", scenario.Expired, "expired on"},
}

func checkAdmission(ctx context.Context, e *environment) error {
	signed, digest, err := e.push(ctx, scenario.Demo, "shop/signed", scenario.SignedJWS)
	if err != nil {
		return err
	}
	e.check(ctx, "a signed image's Deployment runs", func(ctx context.Context) error { return e.deployRuns(ctx, "default", "signed", signed) })
	e.check(ctx, "its tag is replaced by tag@digest", func(ctx context.Context) error {
		if err := e.deploy(ctx, "default", "mutated", signed); err != nil {
			return err
		}
		if err := e.runs(ctx, "default", "mutated"); err != nil {
			return err
		}
		image, err := e.kubectl(ctx, "get", "pods", "--selector=app=mutated", "--output", "jsonpath={.items[0].spec.containers[0].image}")
		if want := signed + "@" + digest; err == nil && image != want {
			err = fmt.Errorf("the pod's image is %s, want %s", image, want)
		}
		return errors.Join(err, e.remove(ctx, "default", "mutated"))
	})
	for _, k := range kinds {
		image, _, err := e.push(ctx, scenario.Demo, "shop/"+k.name, k.kind)
		if err != nil {
			return err
		}
		e.check(ctx, fmt.Sprintf("a Deployment of the kind %q is blocked, and says why", k.kind), func(ctx context.Context) error {
			reasons := []string{strings.TrimSuffix(image, ":v1"), k.reason}
			return e.deployBlocked(ctx, "default", k.name, reasons, image)
		})
		if k.kind == scenario.Unsigned {
			e.check(ctx, "events say why, too", func(ctx context.Context) error {
				return eventually(ctx, 30*time.Second, func(ctx context.Context) error {
					events, err := e.kubectl(ctx, "get", "events", "--field-selector=reason=FailedCreate", "--output", "jsonpath={.items[*].message}")
					if err == nil && !(strings.Contains(events, strings.TrimSuffix(image, ":v1")) && strings.Contains(events, k.reason)) {
						err = fmt.Errorf("no event tells of %s: %s", image, events)
					}
					return err
				})
			})
			e.check(ctx, "a pod with one bad image among good ones is blocked", func(ctx context.Context) error {
				return e.deployBlocked(ctx, "default", "mixed", []string{strings.TrimSuffix(image, ":v1")}, signed, image)
			})
		}
	}
	return nil
}

func checkUninstall(ctx context.Context, e *environment) error {
	e.check(ctx, "helm uninstall leaves nothing but the CRDs, of all that the cluster has", func(ctx context.Context) error {
		if _, err := e.helm(ctx, "uninstall", "ratify", "--namespace", ratifyNamespace, "--wait", "--timeout=2m"); err != nil {
			return err
		}
		// Pods that are told to end serve a few seconds more; the lease goes after the Deployment.
		return eventually(ctx, time.Minute, e.nothingLeft)
	})
	return nil
}
