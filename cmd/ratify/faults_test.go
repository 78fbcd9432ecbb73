package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// faultBudget is the request's time in the tests of faults: what hangs or drips uses all of it.
const faultBudget = 1500 * time.Millisecond

// slack is what the answer may come later than the budget, on a loaded machine with the race detector.
const slack = 1500 * time.Millisecond

// Every service fails in every way, in turn. No image is ever admitted, the error names the service, the answer comes within
// the request's time, and the next request after the fault is answered rightly.
func TestFaults(t *testing.T) {
	culprits := []struct{ name, host string }{
		{"STS", "sts.aliyuncs.com"},
		{"CR API", "cr.cn-hangzhou.aliyuncs.com"},
		{"token service", "dockerauth.cn-hangzhou.aliyuncs.com"},
		{"registry", scenario.Demo.Host},
	}
	faults := map[string]emulator.Fault{
		"error 500":  {Status: http.StatusInternalServerError},
		"throttled":  {Status: http.StatusTooManyRequests},
		"hangs":      {Hang: true},
		"resets":     {Reset: true},
		"drips":      {Drip: true},
		"corrupts":   {Corrupt: true},
		"floods":     {Oversize: true},
		"forbids":    {Status: http.StatusForbidden, Body: `{"Code":"NoPermission","Message":"no","RequestId":"R-1"}`},
		"HTML error": {Status: http.StatusBadGateway, Body: "<html>bad gateway</html>"},
	}
	for _, culprit := range culprits {
		for fault, what := range faults {
			t.Run(culprit.name+"/"+fault, func(t *testing.T) {
				w := newWorld(t, emulator.Options{})
				signed := push(t, w, scenario.Demo, "faults/signed", scenario.SignedJWS)
				unsigned := push(t, w, scenario.Demo, "faults/unsigned", scenario.Unsigned)
				p := startInProcess(t, w, serveOptions{cacheEnabled: true, cacheTTL: time.Minute}, w.Config(func(c map[string]any) {
					c["executor"] = map[string]any{"verificationRequestTimeout": int(faultBudget / time.Millisecond)}
				}))

				w.Cloud.Endpoint(culprit.host).SetFault(what)
				a := p.ask(signed, unsigned)
				for image, admitted := range a.Verdicts {
					if admitted {
						t.Errorf("%s was admitted", image)
					}
				}
				if a.Took > faultBudget+slack {
					t.Errorf("the answer took %s of %s", a.Took, faultBudget)
				}
				if len(a.Verdicts) != 0 {
					t.Errorf("verdicts %v %v: an outage is not evidence", a.Verdicts, a.Reports)
				}
				if !strings.Contains(a.SystemError, culprit.host) {
					t.Errorf("the error does not name %s: %s", culprit.host, a.SystemError)
				}

				w.Cloud.Endpoint(culprit.host).SetFault(emulator.Fault{})
				a = p.ask(signed, unsigned)
				if !a.Verdicts[signed] || a.Verdicts[unsigned] || len(a.Verdicts) != 2 {
					t.Errorf("after the fault: %+v", a)
				}
				http.DefaultClient.CloseIdleConnections()
			})
		}
	}
}

// What was handed out stops working before its time: sessions, passwords, bearer tokens. The same request copes.
func TestRevocations(t *testing.T) {
	for name, revoke := range map[string]func(*emulator.Cloud){
		"bearer tokens":          func(c *emulator.Cloud) { c.RevokeBearers() },
		"passwords":              func(c *emulator.Cloud) { c.RevokePasswords(); c.RevokeBearers() },
		"sessions and all of it": func(c *emulator.Cloud) { c.RevokeSessions(); c.RevokePasswords(); c.RevokeBearers() },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, emulator.Options{})
			p := startInProcess(t, w, serveOptions{}, w.Config(patient))
			for i, before := range []func(){func() {}, func() { revoke(w.Cloud) }} {
				image := push(t, w, scenario.Demo, fmt.Sprintf("revoked/%d", i), scenario.SignedJWS)
				before()
				if a := p.ask(image); !a.Verdicts[image] {
					t.Errorf("image %d: %+v", i, a)
				}
			}
			http.DefaultClient.CloseIdleConnections()
		})
	}
}
