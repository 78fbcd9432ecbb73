package acr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// numbered hands out passwords hush-1, hush-2, … that live for an hour of clock.
func numbered(clock func() time.Time) http.HandlerFunc {
	var n atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		body(200, goodToken().with("AuthorizationToken", fmt.Sprint("hush-", n.Add(1))).with("ExpireTime", clock().Add(time.Hour).UnixMilli()))(w, r)
	}
}

func TestRefused(t *testing.T) {
	s := newService(t)
	var offset atomic.Int64
	start := time.Now()
	clock := func() time.Time { return start.Add(time.Duration(offset.Load())) }
	s.answer(opToken, numbered(clock))
	cfg, err := parse(t, "{defaultInstanceId: cri-default, acrInstancesConfig: [{instanceName: demo, instanceId: cri-demo}]}")
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(cfg, Options{Transport: s.transport(t), Log: slog.New(slog.DiscardHandler), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	password := func(want string) {
		t.Helper()
		if token, err := c.Token(t.Context(), demoHost); err != nil || token.Password != want {
			t.Errorf("got %s, %v; want %s", token.Password, err, want)
		}
	}
	password("hush-1")
	c.Refused(demoHost, "another password")
	password("hush-1")
	if text := c.Refused(demoHost, "hush-1"); !strings.Contains(text, "cri-demo") || !strings.Contains(text, "correct acrInstancesConfig[0]") ||
		!strings.Contains(text, "cr:PullRepository") || !strings.Contains(text, "role acs:ram::1:role/r") || strings.Contains(text, "hush") {
		t.Errorf("explanation %q", text)
	}
	password("hush-2")
	c.Refused(demoHost, "hush-2") // again at once: whoever may not pull must not have a token fetched each time
	password("hush-2")
	offset.Store(int64(dropPause))
	c.Refused(demoHost, "hush-2")
	password("hush-3")

	if text := c.Refused("other-registry.cn-hangzhou.cr.aliyuncs.com", "hush-0"); !strings.Contains(text, "cri-default") ||
		!strings.Contains(text, `the default because "other" is not in acrInstancesConfig`) || !strings.Contains(text, "add {instanceName: other, instanceId: cri-…} to acrInstancesConfig") {
		t.Errorf("explanation for the default %q", text)
	}
	if text := c.Refused("docker.io", "x"); text != "" {
		t.Errorf("explanation for a host that is not covered: %q", text)
	}
}

func TestOneCallForAll(t *testing.T) {
	s := newService(t)
	s.answer(opToken, numbered(time.Now))
	c := s.client(t, "{acrInstancesConfig: [{instanceName: demo, instanceId: cri-demo}], network: vpc}")
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			host := []string{demoHost, strings.ToUpper(demoHost), strings.Replace(demoHost, "-registry", "-registry-vpc", 1) + ":443"}[i%3]
			if token, err := c.Token(t.Context(), host); err != nil || token.Password != "hush-1" {
				t.Errorf("%v, %v", token, err)
			}
		})
	}
	wg.Wait()
	if sts, cr := s.count("sts.aliyuncs.com AssumeRoleWithOIDC"), s.count("cr-vpc.cn-hangzhou.aliyuncs.com GetAuthorizationToken"); sts != 1 || cr != 1 {
		t.Errorf("%d STS and %d CR calls, want 1 and 1", sts, cr)
	}
}

func TestCallerLeaves(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then net/http sees the client leave
		<-r.Context().Done()
	}
	for action, want := range map[string]string{"AssumeRoleWithOIDC": "sts.aliyuncs.com", opToken: "cr.cn-hangzhou.aliyuncs.com"} {
		s := newService(t)
		s.answer(opToken, numbered(time.Now))
		s.answer(action, hang)
		c := s.client(t, "{defaultInstanceId: cri-demo, timeout: 400ms}")
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := c.Token(ctx, demoHost)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "while waiting for an answer of "+want) {
			t.Errorf("%s hangs: %v, want %q", action, err, want)
		}
		start := time.Now()
		if _, err = c.Token(t.Context(), demoHost); err == nil || !strings.Contains(err.Error(), want) || time.Since(start) > 3*time.Second {
			t.Errorf("%s hangs: after %s %v", action, time.Since(start), err)
		}
	}
}

func TestTokensAreBounded(t *testing.T) {
	s := newService(t)
	s.answer(opToken, numbered(time.Now))
	c := s.client(t, "defaultInstanceId: cri-demo")
	for i := range maxTokens + 10 {
		if _, err := c.Token(t.Context(), fmt.Sprintf("demo-registry.cn-x%d.cr.aliyuncs.com", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.tokens.Len(); n != maxTokens {
		t.Errorf("%d tokens kept, want %d", n, maxTokens)
	}
}

func TestExplicitCredentialWins(t *testing.T) {
	s := newService(t) // with an RRSA environment
	s.answer(opToken, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=LTAI,") || r.Header.Get("x-acs-security-token") != "" {
			t.Errorf("request %v", r.Header)
		}
		body(200, goodToken())(w, r)
	})
	c := s.client(t, "{defaultInstanceId: cri-demo, credential: {type: access_key, accessKeyId: LTAI, accessKeySecret: hush}}")
	if _, err := c.Token(t.Context(), demoHost); err != nil {
		t.Error(err)
	}
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "ENV")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "hush")
	s.answer(opToken, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=STS.1,") {
			t.Errorf("a key in the environment wins over RRSA: %v", r.Header)
		}
		body(200, goodToken())(w, r)
	})
	if _, err := s.client(t, "defaultInstanceId: cri-demo").Token(t.Context(), demoHost); err != nil {
		t.Error(err)
	}
}
