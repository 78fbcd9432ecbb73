package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// With crl.cache a command finds the revocation list that an earlier one fetched; without, each fetches it.
func TestRevocationListsOnDisk(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	root, err := signing.Root("revoking root")
	if err != nil {
		t.Fatal(err)
	}
	responder := signing.NewResponder(root)
	t.Cleanup(responder.Close)
	signer, err := root.Issue("releases", signing.Options{CRL: []string{responder.CRL()}})
	if err != nil {
		t.Fatal(err)
	}
	image, err := w.Push(t.Context(), scenario.Demo, "crl/app", scenario.Unsigned)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := signing.Repository(scenario.Demo.Host+"/crl/app", w.Cloud.PushTransport(scenario.Demo.ID))
	if err != nil {
		t.Fatal(err)
	}
	if err := signer.Sign(t.Context(), repo, image, signing.JWS); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for enabled, fetches := range map[bool]int{true: 1, false: 3} {
		path := filepath.Join(dir, "config.json")
		replaceFile(t, path, w.Config(func(config map[string]any) {
			config["crl"] = map[string]any{"cache": map[string]any{"enabled": enabled}}
			config["keyManagementProvider"].(map[string]any)["plugins"].([]any)[0].(map[string]any)["value"] = root.PEM()
		}))
		before := responder.Asked()
		for range 3 {
			stdout, stderr, code := execute(t, command(t, w, dir, "verify", "-c", path, "-s", scenario.Demo.Host+"/crl/app:v1"))
			if code != 0 || !strings.Contains(stdout, "CN=releases") {
				t.Errorf("exit code %d: %s%s", code, stdout, stderr)
			}
		}
		if got := responder.Asked() - before; got != fetches {
			t.Errorf("crl.cache.enabled %t: %d fetches, want %d", enabled, got, fetches)
		}
	}
	if files, err := os.ReadDir(filepath.Join(dir, ".cache", "notation", "crl")); err != nil || len(files) != 1 {
		t.Errorf("files on disk: %v, %v", files, err)
	}
}
