package builtin

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratify-project/ratify/pkg/featureflag"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/executable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
)

func TestExternal(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plugin"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	o := Options{Transport: http.DefaultTransport.(*http.Transport), Log: slog.New(slog.NewTextHandler(&log, nil))}
	newStore := func(c storeconfig.StorePluginConfig) error {
		_, err := externalStore(o)(t.Context(), c, config.StoreInput{Version: "1.0.0", PluginDirs: []string{dir}})
		return err
	}
	newVerifier := func(c verifierconfig.VerifierConfig) error {
		_, err := externalVerifier(o)(t.Context(), c, config.VerifierInput{Version: "1.0.0", PluginDirs: []string{dir}})
		return err
	}
	source := map[string]any{"artifact": "127.0.0.1:1/plugin:v1"}
	if err := newStore(storeconfig.StorePluginConfig{"name": "plugin"}); err != nil {
		t.Errorf("store: %v", err)
	}
	if err := newVerifier(verifierconfig.VerifierConfig{"name": "verifier-plugin", "type": "plugin", "source": source}); err != nil {
		t.Errorf("verifier: %v", err)
	}
	if !strings.Contains(log.String(), "source is ignored: set RATIFY_EXPERIMENTAL_DYNAMIC_PLUGINS=1") {
		t.Errorf("log %q does not say that source is ignored", log.String())
	}

	featureflag.DynamicPlugins.Enabled = true
	t.Cleanup(func() { featureflag.DynamicPlugins.Enabled = false })
	for _, tt := range []struct {
		name string
		err  error
		says string
	}{
		{"unreachable", newVerifier(verifierconfig.VerifierConfig{"name": "plugin", "source": source}), "source: 127.0.0.1:1/plugin:v1 could not be downloaded: "},
		{"store", newStore(storeconfig.StorePluginConfig{"name": "plugin", "source": source}), "source: 127.0.0.1:1/plugin:v1 could not be downloaded: "},
		{"a text", newVerifier(verifierconfig.VerifierConfig{"name": "plugin", "source": "plugin:v1"}), "source: is a JSON string where an object is expected"},
		{"no artifact", newVerifier(verifierconfig.VerifierConfig{"name": "plugin", "source": map[string]any{}}), "source: needs"},
		{"no name", newStore(storeconfig.StorePluginConfig{"source": source}), "source: needs"},
		{"a path", newVerifier(verifierconfig.VerifierConfig{"name": "../plugin", "source": source}), "without a path"},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.says) {
			t.Errorf("%s: error %v, want one that says %q", tt.name, tt.err, tt.says)
		}
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("the plugin directory has %v, %v", files, err)
	}
}

func TestMisspeltType(t *testing.T) {
	dir := t.TempDir()
	f := Factories(Options{Log: slog.New(slog.DiscardHandler)})
	store := func(name string) error {
		_, err := f.Store(t.Context(), storeconfig.StorePluginConfig{"name": name}, config.StoreInput{PluginDirs: []string{dir}})
		return err
	}
	verifier := func(name, kind string) error {
		_, err := f.Verifier(t.Context(), verifierconfig.VerifierConfig{"name": name, "type": kind}, config.VerifierInput{PluginDirs: []string{dir}})
		return err
	}
	misspelt, others := "did you mean cosign, which is built in?", "built in are cosign, notation"
	if slim {
		misspelt, others = "built in are notation", "built in are notation"
	}
	for _, tt := range []struct {
		err  error
		says string
	}{
		{store("orsa"), `name: no such plugin: "orsa"; looked for ` + dir + "/orsa (does not exist); built in are oras"},
		{store("oars-store"), "built in are oras"},
		{store("ORAS"), "did you mean oras, which is built in?"},
		{verifier("notation", "notaton"), `type: no such plugin: "notaton"; looked for ` + dir + "/notaton (does not exist); did you mean notation, which is built in?"},
		{verifier("cosgin", "cosgin"), misspelt},
		{verifier("cosign", "mine"), others},
	} {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.says) || !errors.Is(tt.err, executable.ErrNotFound) {
			t.Errorf("error %v, want one that says %q", tt.err, tt.says)
		}
	}
}
