package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/gatekeeper"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// patient lets a loaded machine with the race detector take its time; what is counted does not depend on it.
func patient(c map[string]any) {
	c["executor"] = map[string]any{"verificationRequestTimeout": 60_000}
}

func TestThousandRequestsForFiftyNewImages(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) }) // after the cleanups of what is started below
	w := newWorld(t, emulator.Options{})
	images := make([]string, 50)
	for i := range images {
		images[i] = push(t, w, scenario.Demo, fmt.Sprintf("load/image-%d", i), scenario.SignedJWS)
	}
	p := startInProcess(t, w, serveOptions{cacheEnabled: true, cacheTTL: time.Minute}, w.Config(patient))
	w.Cloud.ResetCalls()

	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	client := &http.Client{Transport: transport}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			image := images[i%len(images)]
			a, err := gatekeeper.Ask(t.Context(), client, p.url, image)
			if err != nil || !a.Verdicts[image] {
				t.Errorf("%s: %+v, %v", image, a, err)
			}
		})
	}
	wg.Wait()

	got := map[string]int{}
	for call, n := range w.Cloud.Calls() {
		_, action, _ := strings.Cut(call, " ")
		got[action] += n
	}
	for action, want := range map[string]int{
		"AssumeRoleWithOIDC": 1, "GetAuthorizationToken": 1,
		"HEAD manifests": 50, "GET referrers": 50, "GET manifests": 50, "GET blobs": 50,
	} {
		if got[action] != want {
			t.Errorf("%d × %s, want %d; all: %v", got[action], action, want, got)
		}
	}

	transport.CloseIdleConnections()
	for _, store := range p.engine.Snapshot().Stores() {
		if err := store.(interface{ Close() error }).Close(); err != nil {
			t.Error(err)
		}
	}
}

// While images are asked for without a pause, the trust changes. Each answer must be right for a configuration that was in use
// while it was made, and every answer to a question asked after a reload must be right for the new one.
func TestReloadUnderLoad(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	images := []string{
		push(t, w, scenario.Demo, "reload/a", scenario.SignedJWS),
		push(t, w, scenario.Demo, "reload/b", scenario.SignedCOSE),
		push(t, w, scenario.Legacy, "reload/c", scenario.SignedJWS),
	}
	other := newWorld(t, emulator.Options{}) // whose keys signed none of the images
	trusting := w.Config(patient)
	distrusting := w.Config(func(c map[string]any) {
		patient(c)
		provider := c["keyManagementProvider"].(map[string]any)["plugins"].([]any)[0].(map[string]any)
		provider["value"] = other.Anchors()
	})
	p := startInProcess(t, w, serveOptions{cacheEnabled: true, cacheTTL: time.Minute}, trusting)

	ctx, stop := context.WithCancel(t.Context())
	var asked atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				a, err := gatekeeper.Ask(t.Context(), http.DefaultClient, p.url, images...)
				if err != nil || a.SystemError != "" || len(a.Verdicts) != len(images) {
					t.Errorf("during reloads: %+v, %v", a, err)
					return
				}
				asked.Add(1)
			}
		})
	}
	for i := range 10 {
		content, want := trusting, true
		if i%2 == 0 {
			content, want = distrusting, false
		}
		p.reload(content)
		for image, verdict := range p.ask(images...).Verdicts {
			if verdict != want {
				t.Errorf("after reload %d: %s admitted=%t, want %t", i, image, verdict, want)
			}
		}
	}
	stop()
	wg.Wait()
	if asked.Load() == 0 {
		t.Error("nothing was asked during the reloads")
	}
	http.DefaultClient.CloseIdleConnections()
}
