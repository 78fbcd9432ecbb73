package main

import (
	"net/http"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The cosign verifier works on our store, with keys of an inline provider: each of them counts.
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
	p := startInProcess(t, w, serveOptions{}, cosignConfig(w, anchors))
	for image, admitted := range want {
		if a := p.ask(image); a.Verdicts[image] != admitted || len(a.Verdicts) != 1 {
			t.Errorf("%s: %+v, want %t", image, a, admitted)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// Other keys take effect with the configuration that has them, and no verdict of before lives on.
func TestCosignKeysChange(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	key, err := signing.NewCosignKey()
	if err != nil {
		t.Fatal(err)
	}
	other, err := signing.NewCosignKey()
	if err != nil {
		t.Fatal(err)
	}
	image, err := w.Push(t.Context(), scenario.Demo, "cosign/changing", scenario.Unsigned)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := signing.Repository(scenario.Demo.Host+"/cosign/changing", w.Cloud.PushTransport(scenario.Demo.ID))
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Sign(t.Context(), repo, image); err != nil {
		t.Fatal(err)
	}
	ref := scenario.Demo.Host + "/cosign/changing@" + image.Digest.String()
	config := func(k signing.CosignKey) []byte {
		text, err := k.PEM()
		if err != nil {
			t.Fatal(err)
		}
		return cosignConfig(w, text)
	}
	p := startInProcess(t, w, serveOptions{}, config(key))
	for _, step := range []struct {
		key  signing.CosignKey
		want bool
	}{{key, true}, {other, false}, {key, true}} {
		p.reload(config(step.key))
		if a := p.ask(ref); a.Verdicts[ref] != step.want || len(a.Verdicts) != 1 {
			t.Errorf("%+v, want %t", a, step.want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// cosignConfig returns config.json with public keys for all signatures of cosign.
func cosignConfig(w *scenario.World, keys string) []byte {
	return w.Config(func(c map[string]any) {
		patient(c)
		store := c["store"].(map[string]any)["plugins"].([]any)[0].(map[string]any)
		store["cosignEnabled"] = true
		c["policy"].(map[string]any)["plugin"].(map[string]any)["artifactVerificationPolicies"] = map[string]any{"default": "all"}
		c["keyManagementProvider"] = map[string]any{"plugins": []any{map[string]any{
			"name": "cosign-keys", "type": "inline", "contentType": "key", "value": keys,
		}}}
		c["verifier"].(map[string]any)["plugins"] = []any{map[string]any{
			"name": "cosign", "artifactTypes": "application/vnd.dev.cosign.artifact.sig.v1+json",
			"trustPolicies": []any{map[string]any{
				"name": "default", "scopes": []any{"*"}, "tLogVerify": false, "keys": []any{map[string]any{"provider": "cosign-keys"}},
			}},
		}}
	})
}
