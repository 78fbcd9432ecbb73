package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// demoHosts are the hosts of the default instance's registry.
var demoHosts = []string{scenario.Demo.Host, strings.Replace(scenario.Demo.Host, "-registry.", "-registry-vpc.", 1)}

func checkTrust(ctx context.Context, e *environment) error {
	self, _, err := e.push(ctx, scenario.Demo, "trust/self", scenario.SelfSigned)
	if err != nil {
		return err
	}
	signed, _, err := e.push(ctx, scenario.Demo, "trust/signed", scenario.SignedJWS)
	if err != nil {
		return err
	}
	e.check(ctx, "before: the releases' signature is trusted, the self-signed one is not", func(ctx context.Context) error {
		return errors.Join(e.admitted(ctx, "default", signed), e.refused(ctx, "default", self))
	})
	trust := func(certificates string) error {
		patch, err := jsonText(object{"spec": object{"parameters": object{"value": certificates}}})
		if err != nil {
			return err
		}
		_, err = e.kubectl(ctx, "patch", "keymanagementprovider", "ratify-notation-inline-cert-0", "--type=merge", "--patch", patch)
		return err
	}
	e.check(ctx, "KeyManagementProvider replaced: the other is trusted, within seconds", func(ctx context.Context) error {
		if err := trust(strings.TrimPrefix(e.world.Anchors(), e.world.Root())); err != nil {
			return err
		}
		return eventually(ctx, 10*time.Second, func(ctx context.Context) error {
			return errors.Join(e.admitted(ctx, "default", self), e.refused(ctx, "default", signed))
		})
	})
	e.check(ctx, "and back again", func(ctx context.Context) error {
		if err := trust(e.world.Root()); err != nil {
			return err
		}
		return eventually(ctx, 10*time.Second, func(ctx context.Context) error {
			return errors.Join(e.admitted(ctx, "default", signed), e.refused(ctx, "default", self))
		})
	})
	if e.o.smoke {
		return nil
	}
	identities := func(list string) error {
		_, err := e.kubectl(ctx, "patch", "verifier", "verifier-notation", "--type=json", "--patch",
			`[{"op": "replace", "path": "/spec/parameters/trustPolicyDoc/trustPolicies/0/trustedIdentities", "value": `+list+`}]`)
		return err
	}
	e.check(ctx, "Verifier edited: an identity that is not trusted is refused", func(ctx context.Context) error {
		if err := identities(`["x509.subject: C=CN, ST=Zhejiang, O=Somebody else"]`); err != nil {
			return err
		}
		refused := eventually(ctx, seen, func(ctx context.Context) error { return e.refused(ctx, "default", signed) })
		return errors.Join(refused, identities(`["*"]`), eventually(ctx, seen, func(ctx context.Context) error { return e.admitted(ctx, "default", signed) }))
	})
	enforce := func(action string) error {
		_, err := e.kubectl(ctx, "patch", "ratifyverification", "ratify-constraint", "--type=merge", "--patch", `{"spec": {"enforcementAction": "`+action+`"}}`)
		return err
	}
	e.check(ctx, "constraint to dryrun: nothing is denied, and denied again after", func(ctx context.Context) error {
		if err := enforce("dryrun"); err != nil {
			return err
		}
		admitted := eventually(ctx, seen, func(ctx context.Context) error { return e.admitted(ctx, "default", self) })
		return errors.Join(admitted, enforce("deny"), eventually(ctx, seen, func(ctx context.Context) error { return e.refused(ctx, "default", self) }))
	})
	return e.checkDefaultCache(ctx, signed, trust)
}

// checkDefaultCache lets Gatekeeper keep answers as long as it does by default. trust replaces the certificates that are trusted.
func (e *environment) checkDefaultCache(ctx context.Context, signed string, trust func(string) error) error {
	fresh, _, err := e.push(ctx, scenario.Demo, "trust/fresh", scenario.SignedJWS)
	if err != nil {
		return err
	}
	if err := e.setGatekeeperCache(ctx, "3m"); err != nil {
		return err
	}
	e.check(ctx, "with Gatekeeper's default cache, a registry's outage keeps a good image out no longer than it lasts", func(ctx context.Context) error {
		for _, host := range demoHosts {
			e.cloud.Endpoint(host).SetFault(emulator.Fault{Status: http.StatusServiceUnavailable})
		}
		during := eventually(ctx, time.Minute, func(ctx context.Context) error { return e.refused(ctx, "default", signed, "503 Service Unavailable") })
		for _, host := range demoHosts {
			e.cloud.Endpoint(host).SetFault(emulator.Fault{})
		}
		return errors.Join(during, eventually(ctx, back, func(ctx context.Context) error { return e.admitted(ctx, "default", signed) }))
	})
	e.check(ctx, "with it, a change of trust counts at once for an image that was not asked about, and later for one that was", func(ctx context.Context) error {
		if err := trust(strings.TrimPrefix(e.world.Anchors(), e.world.Root())); err != nil {
			return err
		}
		// Ratify is asked itself: Gatekeeper would keep its answer from before the change.
		own, err := e.gatekeeperCertificate(ctx)
		if err != nil {
			return err
		}
		return errors.Join(
			eventually(ctx, seen, func(ctx context.Context) error {
				err := e.ask(ctx, fresh, own)
				if err == nil {
					return errors.New("the former certificates are still trusted")
				}
				if !strings.HasPrefix(err.Error(), "not verified: ") {
					return err
				}
				return nil
			}),
			e.refused(ctx, "default", fresh), e.admitted(ctx, "default", signed), trust(e.world.Root()))
	})
	return e.setGatekeeperCache(ctx, providerCacheTTL)
}

// setGatekeeperCache sets how long Gatekeeper keeps answers, and empties its cache, as it starts anew. It waits for the end of the pods from
// before, which the API server asks as long as they answer.
func (e *environment) setGatekeeperCache(ctx context.Context, ttl string) error {
	folder, err := gatekeeperChart(ctx)
	if err != nil {
		return err
	}
	_, err = e.helm(ctx, "upgrade", "gatekeeper", folder, "--namespace", gatekeeperNamespace, "--reuse-values", "--wait", "--timeout=2m",
		"--set", "externaldataProviderResponseCacheTTL="+ttl)
	if err != nil {
		return err
	}
	return eventually(ctx, 90*time.Second, func(ctx context.Context) error {
		pods, err := e.kubectl(ctx, "get", "pods", "--namespace", gatekeeperNamespace, "--selector=control-plane=controller-manager", "--output=name")
		if err == nil && len(strings.Fields(pods)) != 1 {
			err = fmt.Errorf("the pods of Gatekeeper from before are still there: %s", strings.Join(strings.Fields(pods), " "))
		}
		return err
	})
}
