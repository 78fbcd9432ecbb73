package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/common/plugin"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/verifier"
	"github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/store"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/programs"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario/scenariotest"
)

const (
	name          = "alibabacloudnotation"
	signatureType = "application/vnd.cncf.notary.signature"
)

// all are what this binary is when it is started by their names.
var all = programs.Programs{name: func() { main() }}

func TestMain(m *testing.M) { all.Main(m) }

// newWorld starts a cloud, and makes this process's children pods in it.
func newWorld(t *testing.T) *scenario.World {
	t.Helper()
	w := scenariotest.Start(t, emulator.Options{})
	for _, variable := range append(w.Cloud.PodEnv(), "ALIBABA_CLOUD_ACR_INSTANCE_ID="+scenario.Demo.ID) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	return w
}

// signature is an image of a kind with its signature.
type signature struct {
	tagged, digested string
	desc             ocispecs.ReferenceDescriptor
}

// push pushes an image of a kind and looks its signature up.
func push(t *testing.T, w *scenario.World, repository string, kind scenario.Kind) signature {
	t.Helper()
	image, err := w.Push(t.Context(), scenario.Demo, repository, kind)
	if err != nil {
		t.Fatal(err)
	}
	path := scenario.Demo.Host + "/" + repository
	list, err := openedBy(t, w).ListReferrers(t.Context(), common.Reference{Path: path, Digest: image.Digest}, nil, "", nil)
	if err != nil || len(list.Referrers) != 1 {
		t.Fatalf("the image has %d signatures: %v", len(list.Referrers), err)
	}
	return signature{path + ":v1", path + "@" + image.Digest.String(), list.Referrers[0]}
}

// openedBy returns the store of this process, which is no pod.
func openedBy(t *testing.T, w *scenario.World) *referrerstore.Store {
	t.Helper()
	s, err := referrerstore.New(map[string]any{"name": store.Name, "authProvider": map[string]any{"name": authprovider.Name}}, "1.0.0", referrerstore.Options{
		Transport: w.Cloud.Transport(), Log: slog.New(slog.DiscardHandler),
		NewAuthProvider: func(block map[string]any) (authprovider.AuthProvider, error) {
			return authprovider.New(block, authprovider.Options{Transport: w.Cloud.Transport(), Log: slog.New(slog.DiscardHandler)})
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// inlineConfig is a verifier that trusts certificates in its configuration.
func inlineConfig(anchors string) config.VerifierConfig {
	return config.VerifierConfig{
		"name": name, "artifactTypes": signatureType,
		"keyManagementProviders": []any{map[string]any{"name": "anchors", "type": "inline", "contentType": "certificate", "value": anchors}},
		"verificationCertStores": map[string]any{"ca": map[string]any{"certs": []any{"anchors"}}},
		"trustPolicyDoc": map[string]any{"version": "1.0", "trustPolicies": []any{map[string]any{
			"name": "default", "registryScopes": []any{"*"}, "signatureVerification": map[string]any{"level": "strict"},
			"trustStores": []any{"ca:certs"}, "trustedIdentities": []any{"*"},
		}}},
	}
}

// kmsConfig is a verifier that trusts certificates in KMS.
func kmsConfig() config.VerifierConfig {
	c := inlineConfig("")
	c["keyManagementProviders"] = []any{map[string]any{"name": "anchors", "type": "alibabacloudkms", "region": "cn-hangzhou",
		"certificates": []any{map[string]any{"secretName": "anchors"}}}}
	return c
}

// input is what Ratify writes to the standard input.
func input(t *testing.T, verifier config.VerifierConfig, store map[string]any, desc ocispecs.ReferenceDescriptor) string {
	t.Helper()
	content, err := json.Marshal(map[string]any{"config": verifier, "storeConfig": map[string]any{"version": "1.0.0", "store": store}, "referenceDesc": desc})
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// run runs the plugin, and returns what it prints.
func run(t *testing.T, stdin string, env ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(all.Folder(t), name))
	var out, log bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &log
	cmd.Env = append(os.Environ(), env...)
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), log.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), log.String(), 0
}

// call is the environment of a call.
func call(subject string) []string {
	return []string{"RATIFY_VERIFIER_COMMAND=VERIFY", "RATIFY_VERIFIER_VERSION=1.0.0", "RATIFY_VERIFIER_SUBJECT=" + subject}
}

// verdict runs the plugin and decodes its reply.
func verdict(t *testing.T, stdin, subject string) verifier.VerifierResult {
	t.Helper()
	stdout, stderr, code := run(t, stdin, call(subject)...)
	var result verifier.VerifierResult
	if err := json.Unmarshal([]byte(stdout), &result); err != nil || code != 0 || result.VerifierName == "" {
		t.Fatalf("it ends with %d, prints %s and logs %s: %v", code, stdout, stderr, err)
	}
	return result
}

// failure runs the plugin and decodes the error that it prints.
func failure(t *testing.T, stdin string, env ...string) plugin.Error {
	t.Helper()
	stdout, stderr, code := run(t, stdin, env...)
	var e plugin.Error
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || code != 1 || strings.Count(stdout, "\n") != 1 || strings.Contains(stderr, "{") {
		t.Fatalf("it ends with %d, prints %q and logs %s: %v", code, stdout, stderr, err)
	}
	return e
}
