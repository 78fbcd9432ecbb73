package builtin

import (
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
)

// Each part is asked for by the name that users know, with no more than the name: the build that has it says what else it wants, or
// nothing, and the one that has not says which one has it.
func TestBuilds(t *testing.T) {
	transport := http.DefaultTransport.(*http.Transport)
	o := Options{Transport: transport, Metrics: metrics.New(), Log: slog.New(slog.DiscardHandler)}
	f := Factories(o)
	verifier := func(kind string) error {
		_, err := f.Verifier(t.Context(), verifierconfig.VerifierConfig{"name": kind, "type": kind}, config.VerifierInput{PluginDirs: []string{t.TempDir()}})
		return err
	}
	keys := func(kind string) error {
		_, err := f.KeyProvider(kmpconfig.KeyManagementProviderConfig{"type": kind})
		return err
	}
	policy := func(name string) error {
		_, err := f.Policy(policyconfig.PoliciesConfig{PolicyPlugin: policyconfig.PolicyPluginConfig{"name": name, "policy": "package ratify.policy\nvalid := true"}})
		return err
	}
	auth := func(name string) error {
		_, err := o.newAuthProvider(map[string]any{"name": name})
		return err
	}
	if err := keys("akv"); err == nil || strings.Contains(err.Error(), "azurekeyvault") == slim {
		t.Errorf("slim %t: what there is instead: %v", slim, err)
	}
	for _, tt := range []struct {
		part string
		err  error
		full bool // only the full build has it
	}{
		{"type notation", verifier("notation"), false},
		{"type cosign", verifier("cosign"), true},
		{"type inline", keys("inline"), false},
		{"type alibabacloudkms", keys("alibabacloudkms"), false},
		{"type azurekeyvault", keys("azurekeyvault"), true},
		{"policy configPolicy", policy("configPolicy"), false},
		{"policy regoPolicy", policy("regoPolicy"), true},
		{"auth provider dockerConfig", auth("dockerConfig"), false},
		{"auth provider k8Secrets", auth("k8Secrets"), false},
		{"auth provider alibabacloudAcrBasic", auth("alibabacloudAcrBasic"), false},
		{"auth provider azureWorkloadIdentity", auth("azureWorkloadIdentity"), true},
		{"auth provider azureManagedIdentity", auth("azureManagedIdentity"), true},
		{"auth provider awsEcrBasic", auth("awsEcrBasic"), true},
	} {
		said := ""
		if tt.err != nil {
			said = tt.err.Error()
		}
		for _, unknown := range []string{"no such plugin", "is not one of", "there is no auth provider", "not registered", "not found", "could not be found"} {
			if strings.Contains(said, unknown) {
				t.Errorf("%s: nobody knows it: %s", tt.part, said)
			}
		}
		if got := strings.Contains(said, tt.part+" is not in the slim image: use the full one"); got != (slim && tt.full) {
			t.Errorf("%s, slim %t: error %q", tt.part, slim, said)
		}
	}
}

// What is not built in may be a plugin of the full image: the slim one has none, and says so unless there is one.
func TestPlugins(t *testing.T) {
	f := Factories(Options{Transport: http.DefaultTransport.(*http.Transport), Metrics: metrics.New(), Log: slog.New(slog.DiscardHandler)})
	for _, kind := range []string{"sbom", "vulnerabilityreport", "licensechecker", "schemavalidator"} {
		directory := t.TempDir()
		block := verifierconfig.VerifierConfig{"name": kind, "artifactTypes": "a/b"}
		_, err := f.Verifier(t.Context(), block, config.VerifierInput{PluginDirs: []string{directory}})
		if err == nil || strings.Contains(err.Error(), "type "+kind+" is not in the slim image") != slim {
			t.Errorf("slim %t: %v", slim, err)
		}
		if err := os.WriteFile(filepath.Join(directory, kind), []byte("#!/bin/sh"), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Verifier(t.Context(), block, config.VerifierInput{PluginDirs: []string{directory}}); err != nil {
			t.Errorf("with the plugin: %v", err)
		}
	}
}
