package main

import (
	"net/http"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// Upstream's cosign verifier works on our store, with keys of an inline provider: each of them counts.
func TestCosignWithInlineKeys(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	var keys [3]signing.CosignKey
	var anchors string
	for i := range keys {
		var err error
		if keys[i], err = signing.NewCosignKey(); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			continue // a stranger's
		}
		text, err := keys[i].PEM()
		if err != nil {
			t.Fatal(err)
		}
		anchors += text
	}
	want := map[string]bool{}
	for i, name := range []string{"first", "second", "stranger"} {
		repository := "cosign/" + name
		image, err := w.Push(t.Context(), scenario.Demo, repository, scenario.Unsigned)
		if err != nil {
			t.Fatal(err)
		}
		repo, err := signing.Repository(scenario.Demo.Host+"/"+repository, w.Cloud.PushTransport(scenario.Demo.ID))
		if err != nil {
			t.Fatal(err)
		}
		if err := keys[i].Sign(t.Context(), repo, image); err != nil {
			t.Fatal(err)
		}
		want[scenario.Demo.Host+"/"+repository+"@"+image.Digest.String()] = i < 2
	}
	p := startInProcess(t, w, serveOptions{}, w.Config(func(c map[string]any) {
		patient(c)
		store := c["store"].(map[string]any)["plugins"].([]any)[0].(map[string]any)
		store["cosignEnabled"] = true
		c["policy"].(map[string]any)["plugin"].(map[string]any)["artifactVerificationPolicies"] = map[string]any{"default": "all"}
		c["keyManagementProvider"] = map[string]any{"plugins": []any{map[string]any{
			"name": "cosign-keys", "type": "inline", "contentType": "key", "value": anchors,
		}}}
		c["verifier"].(map[string]any)["plugins"] = []any{map[string]any{
			"name": "cosign", "artifactTypes": "application/vnd.dev.cosign.artifact.sig.v1+json",
			"trustPolicies": []any{map[string]any{
				"name": "default", "scopes": []any{"*"}, "tLogVerify": false, "keys": []any{map[string]any{"provider": "cosign-keys"}},
			}},
		}}
	}))
	for image, admitted := range want {
		if a := p.ask(image); a.verdicts[image] != admitted || len(a.verdicts) != 1 {
			t.Errorf("%s: %+v, want %t", image, a, admitted)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
