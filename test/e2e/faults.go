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

const (
	// back is how soon signed images have to be admitted again after a fault has ended.
	back = 15 * time.Second
	// podGone is how long signed images may not be admitted after the only pod was killed: until another has started.
	podGone = 30 * time.Second
)

// checkFaults lets things fail while images are asked for: no bad one may ever be admitted, and good ones are soon after.
func checkFaults(ctx context.Context, e *environment) error {
	good, _, err := e.push(ctx, scenario.Demo, "faults/good", scenario.SignedJWS)
	if err != nil {
		return err
	}
	bad, _, err := e.push(ctx, scenario.Demo, "faults/bad", scenario.Unsigned)
	if err != nil {
		return err
	}
	during := func(what string, atMost time.Duration, f func(context.Context) error) {
		e.check(ctx, what, func(ctx context.Context) error {
			probe, err := e.startProbe(ctx, good, bad)
			if err != nil {
				return err
			}
			err = f(ctx)
			// A moment after it must be as before.
			return errors.Join(err, eventually(ctx, back, func(ctx context.Context) error { return e.admitted(ctx, "default", good) }), probe.stop(atMost))
		})
	}
	during("a broken Verifier: its status tells, and nothing else changes", 0, func(ctx context.Context) error {
		if err := e.apply(ctx, `{"apiVersion": "config.ratify.deislabs.io/v1beta1", "kind": "Verifier", "metadata": {"name": "broken"},
			"spec": {"name": "notation", "artifactTypes": "application/example", "parameters": {"trustPolicyDoc": {"version": "9.9"}}}}`); err != nil {
			return err
		}
		told := eventually(ctx, 30*time.Second, func(ctx context.Context) error {
			status, err := e.kubectl(ctx, "get", "verifier", "broken", "--output", `jsonpath={.status.issuccess} {.status.error}`)
			if err == nil && !strings.HasPrefix(status, "false ") {
				err = fmt.Errorf("status %q", status)
			}
			return err
		})
		_, err := e.kubectl(ctx, "delete", "verifier", "broken")
		return errors.Join(told, err)
	})
	during("rolling restart: no admission fails", 0, func(ctx context.Context) error {
		if _, err := e.kubectl(ctx, "rollout", "restart", "deployment/ratify", "--namespace", ratifyNamespace); err != nil {
			return err
		}
		_, err := e.kubectl(ctx, "rollout", "status", "deployment/ratify", "--namespace", ratifyNamespace, "--timeout=2m")
		return err
	})
	during("the only pod is killed", podGone, func(ctx context.Context) error {
		if _, err := e.kubectl(ctx, "delete", "pods", "--namespace", ratifyNamespace, "--all", "--force", "--grace-period=0"); err != nil {
			return err
		}
		_, err := e.kubectl(ctx, "rollout", "status", "deployment/ratify", "--namespace", ratifyNamespace, "--timeout=2m")
		return err
	})
	host := strings.Replace(scenario.Demo.Host, "-registry.", "-registry-vpc.", 1)
	outage := func(seconds time.Duration, hosts ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			for _, h := range hosts {
				e.cloud.Endpoint(h).SetFault(emulator.Fault{Status: http.StatusServiceUnavailable})
				defer e.cloud.Endpoint(h).SetFault(emulator.Fault{})
			}
			select {
			case <-ctx.Done():
			case <-time.After(seconds * time.Second): // the outage's length
			}
			return ctx.Err()
		}
	}
	during("the registry is out for 15 s", 15*time.Second+back, outage(15, scenario.Demo.Host, host))
	during("STS is out for 15 s, and all sessions and passwords have ended", 15*time.Second+back, func(ctx context.Context) error {
		e.cloud.RevokeSessions()
		e.cloud.RevokePasswords()
		e.cloud.RevokeBearers()
		return outage(15, "sts-vpc.cn-hangzhou.aliyuncs.com", "sts.cn-hangzhou.aliyuncs.com", "sts.aliyuncs.com")(ctx)
	})
	during("the API server is restarted", time.Minute, func(ctx context.Context) error {
		return errors.Join(e.cluster.StopAPIServer(), e.cluster.StartAPIServer(ctx))
	})
	return nil
}
