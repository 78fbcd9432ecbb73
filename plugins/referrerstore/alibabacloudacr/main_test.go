package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/common/plugin"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore/config"

	runner "github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/plugin"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/store"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/programs"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario/scenariotest"
)

// all are what this binary is when it is started by their names.
var all = programs.Programs{store.Name: func() { main() }}

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

// push pushes an image of a kind, and returns what refers to it by tag and by digest.
func push(t *testing.T, w *scenario.World, kind scenario.Kind) (tagged, digested common.Reference) {
	t.Helper()
	return pushTo(t, w, scenario.Demo, kind)
}

// pushTo is push to another registry.
func pushTo(t *testing.T, w *scenario.World, to scenario.Registry, kind scenario.Kind) (tagged, digested common.Reference) {
	t.Helper()
	image, err := w.Push(t.Context(), to, "app", kind)
	if err != nil {
		t.Fatal(err)
	}
	path := to.Host + "/app"
	return common.Reference{Path: path, Tag: "v1", Original: path + ":v1"},
		common.Reference{Path: path, Digest: image.Digest, Original: path + "@" + image.Digest.String()}
}

// memory returns a new directory in memory, which is there until the test ends.
func memory(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "alibabacloudacr-test-")
	if err != nil {
		t.Skipf("there is no file system in memory: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	return folder
}

// open returns the plugin as our own runner runs it.
func open(t *testing.T, cfg config.StorePluginConfig) *runner.Store {
	t.Helper()
	s, err := runner.New(cfg, runner.Options{Version: "1.0.0", Directories: []string{all.Folder(t)}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signatureOf returns the descriptor and the manifest of the signature of a subject, as s has them.
func signatureOf(t *testing.T, s *runner.Store, subject common.Reference) (ocispecs.ReferenceDescriptor, ocispecs.ReferenceManifest) {
	t.Helper()
	page, err := s.ListReferrers(t.Context(), subject, nil, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := s.GetReferenceManifest(t.Context(), subject, page.Referrers[0])
	if err != nil {
		t.Fatal(err)
	}
	return page.Referrers[0], manifest
}

// run runs the plugin, and returns what it prints.
func run(t *testing.T, stdin string, env ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(all.Folder(t), store.Name))
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

// printed decodes the error that a run printed.
func printed(t *testing.T, stdout string, code int) plugin.Error {
	t.Helper()
	var e plugin.Error
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || code != 1 || strings.Count(stdout, "\n") != 1 {
		t.Fatalf("it ends with %d and prints %q: %v", code, stdout, err)
	}
	return e
}

// call is the environment of a call.
func call(command, subject, args string) []string {
	return []string{"RATIFY_STORE_COMMAND=" + command, "RATIFY_STORE_VERSION=1.0.0", "RATIFY_STORE_SUBJECT=" + subject, "RATIFY_STORE_ARGS=" + args}
}

const signatureType = "application/vnd.cncf.notary.signature"

// described is a descriptor of the digest alone, as stores hand plugins no more.
func described(d ocispec.Descriptor) ocispec.Descriptor { return ocispec.Descriptor{Digest: d.Digest} }
