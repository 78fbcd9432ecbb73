package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
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
		before, err := e.ratifyPod(ctx)
		if err != nil {
			return err
		}
		if _, err := e.kubectl(ctx, "delete", "pods", "--namespace", ratifyNamespace, "--all", "--force", "--grace-period=0"); err != nil {
			return err
		}
		return eventually(ctx, time.Minute, func(ctx context.Context) error {
			now, err := e.ratifyPod(ctx)
			if err != nil {
				return err
			}
			if now == before {
				return errors.New("the pod is still the old one")
			}
			ready, err := e.kubectl(ctx, "get", "deployment", "ratify", "--namespace", ratifyNamespace, "--output", "jsonpath={.status.readyReplicas}")
			if err == nil && ready != "1" {
				err = errors.New("the new pod is not ready")
			}
			return err
		})
	})
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
	during("the registry is out for 15 s", 15*time.Second+back, outage(15, demoHosts...))
	during("STS is out for 15 s, and all sessions and passwords have ended", 15*time.Second+back, func(ctx context.Context) error {
		e.endSessions()
		return outage(15, "sts-vpc.cn-hangzhou.aliyuncs.com", "sts.cn-hangzhou.aliyuncs.com", "sts.aliyuncs.com")(ctx)
	})
	during("the API server is restarted", time.Minute, func(ctx context.Context) error {
		return e.cluster.Restart(ctx, "kube-apiserver")
	})
	during("the kubelet has rotated the RRSA token, and STS accepts the new one only", back, func(ctx context.Context) error {
		if err := e.rotateToken(ctx); err != nil {
			return err
		}
		e.cloud.ExpireTokens()
		e.endSessions()
		return nil
	})
	during("other programs take all of the machine for 20 s", 20*time.Second+back, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		var burning sync.WaitGroup
		for range 2 * runtime.NumCPU() {
			burning.Go(func() {
				for ctx.Err() == nil {
				}
			})
		}
		burning.Wait()
		return nil
	})
	return nil
}

// endSessions makes all that Ratify has got from the cloud invalid.
func (e *environment) endSessions() {
	e.cloud.RevokeSessions()
	e.cloud.RevokePasswords()
	e.cloud.RevokeBearers()
}

// rotateToken has the kubelet replace the token of Ratify's pod, which it does when it starts, as it forgets then what it had asked for.
func (e *environment) rotateToken(ctx context.Context) error {
	uid, err := e.ratifyPod(ctx)
	if err != nil {
		return err
	}
	file := e.cluster.PodFile(uid, tokenVolume, "token")
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := e.cluster.Restart(ctx, "kubelet"); err != nil {
		return err
	}
	return eventually(ctx, 2*time.Minute, func(context.Context) error {
		now, err := os.ReadFile(file)
		if err == nil && bytes.Equal(now, before) {
			err = errors.New("the token is still the old one")
		}
		return err
	})
}

// ratifyPod returns the UID of Ratify's pod, of which there is one.
func (e *environment) ratifyPod(ctx context.Context) (uid string, err error) {
	return e.kubectl(ctx, "get", "pods", "--namespace", ratifyNamespace, "--selector=app.kubernetes.io/name=ratify", "--output", "jsonpath={.items[0].metadata.uid}")
}
