package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// execute runs a command to its end.
func execute(t *testing.T, cmd *exec.Cmd) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), errs.String(), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), 0
}

func TestVerifyCommand(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	replaceFile(t, path, w.Config(nil))
	image := func(r scenario.Registry, kind scenario.Kind, name string) string {
		push(t, w, r, "cli/"+name, kind)
		return r.Host + "/cli/" + name + ":v1"
	}
	signed, unsigned := image(scenario.Demo, scenario.SignedJWS, "signed"), image(scenario.Demo, scenario.Unsigned, "unsigned")
	foreign, standby := image(scenario.Legacy, scenario.Stranger, "foreign"), image(scenario.Standby, scenario.SignedJWS, "standby")
	w.Cloud.Endpoint("cr.cn-shanghai.aliyuncs.com").SetFault(emulator.Fault{Status: http.StatusForbidden,
		Body: `{"Code":"NoPermission","Message":"You are not authorized.","RequestId":"R-7"}`})

	for name, tt := range map[string]struct {
		args []string
		code int
		want []string // in the output
	}{
		"signed":          {[]string{"-s", signed}, 0, []string{`"isSuccess": true`, `"outcome": "verified"`, "CN=releases"}},
		"signed, table":   {[]string{"-s", signed, "-o", "table"}, 0, []string{"VERDICT", "verified", "CN=releases"}},
		"silent":          {[]string{"-s", signed, "--silent"}, 0, nil},
		"unsigned":        {[]string{"-s", unsigned}, 1, []string{`"isSuccess": false`, `"outcome": "refused"`, "no signature was found"}},
		"unsigned, table": {[]string{"-s", unsigned, "-o", "table"}, 1, []string{"refused", "sign the image by this digest"}},
		"foreign":         {[]string{"-s", foreign}, 1, []string{"no trust store holds the issuer of CN=stranger"}},
		"undetermined":    {[]string{"-s", standby}, 2, []string{`"outcome": "undetermined"`, "cr:GetAuthorizationToken", "R-7", `"verifierReports": []`}},
		"other type":      {[]string{"-s", signed, "-t", "application/spdx+json"}, 1, []string{"no signature was found"}},
		"no subject":      {nil, 2, []string{"subject"}},
		"output":          {[]string{"-s", signed, "-o", "yaml"}, 2, []string{"--output yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := execute(t, command(t, w, dir, append([]string{"verify", "-c", path}, tt.args...)...))
			if code != tt.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, tt.code, stdout, stderr)
			}
			for _, part := range tt.want {
				if !strings.Contains(stdout+stderr, part) {
					t.Errorf("the output lacks %q:\n%s%s", part, stdout, stderr)
				}
			}
			if name == "silent" && stdout != "" {
				t.Errorf("printed %q", stdout)
			}
		})
	}
}

func TestOtherCommands(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	replaceFile(t, path, w.Config(nil))
	pinned := push(t, w, scenario.Demo, "cli/signed", scenario.SignedJWS)
	tagged := scenario.Demo.Host + "/cli/signed:v1"
	_, digest, _ := strings.Cut(pinned, "@")

	stdout, stderr, code := execute(t, command(t, w, dir, "resolve", "-c", path, "-s", tagged))
	if code != 0 || strings.TrimSpace(stdout) != digest {
		t.Errorf("resolve: %d %q %s", code, stdout, stderr)
	}
	stdout, stderr, code = execute(t, command(t, w, dir, "discover", "-c", path, "-s", tagged))
	if code != 0 || !strings.Contains(stdout, "[application/vnd.cncf.notary.signature]sha256:") || !strings.HasPrefix(stdout, pinned) {
		t.Errorf("discover: %d %s%s", code, stdout, stderr)
	}
	stdout, stderr, code = execute(t, command(t, w, dir, "discover", "-c", path, "-s", tagged, "--flat"))
	var found []struct {
		StoreName  string
		References []struct{ Digest, ArtifactType string }
	}
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || code != 0 || len(found) != 1 || len(found[0].References) != 1 {
		t.Fatalf("discover --flat: %d %v %s%s", code, err, stdout, stderr)
	}
	signature := found[0].References[0].Digest
	stdout, stderr, code = execute(t, command(t, w, dir, "referrer", "show-manifest", "-c", path, "-s", tagged, "--digest", signature))
	var manifest struct {
		Blobs []struct{ Digest, MediaType string }
	}
	if err := json.Unmarshal([]byte(stdout), &manifest); err != nil || code != 0 || len(manifest.Blobs) != 1 || manifest.Blobs[0].MediaType != signing.JWS {
		t.Fatalf("referrer show-manifest: %d %v %s%s", code, err, stdout, stderr)
	}
	stdout, stderr, code = execute(t, command(t, w, dir, "referrer", "show-blob", "-c", path, "-s", tagged, "--digest", manifest.Blobs[0].Digest))
	if code != 0 || !strings.Contains(stdout, `"payload"`) {
		t.Errorf("referrer show-blob: %d %s%s", code, stdout, stderr)
	}
	stdout, _, code = execute(t, command(t, w, dir, "version"))
	if code != 0 || !strings.Contains(stdout, "Git commit:") {
		t.Errorf("version: %d %s", code, stdout)
	}
	for _, args := range [][]string{
		{"resolve", "-c", path, "-s", "not an image"},
		{"resolve", "-c", path, "-s", scenario.Demo.Host + "/cli/gone:v1"},
		{"discover", "-c", path, "-s", scenario.Demo.Host + "/cli/gone:v1"},
		{"referrer", "show-blob", "-c", path, "-s", tagged, "--digest", "short"},
		{"referrer", "show-blob", "-c", path, "-s", tagged, "--digest", digest, "--store", "gone"},
	} {
		if stdout, stderr, code := execute(t, command(t, w, dir, args...)); code != exitUndetermined || !strings.HasPrefix(stderr, "Error: ") {
			t.Errorf("%v: %d %s%s", args, code, stdout, stderr)
		}
	}
}

// The configuration files that upstream ships load as they are: what they name is put where they name it.
func TestUpstreamConfigFilesLoad(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ratify-project/ratify").Output()
	if err != nil {
		t.Fatal(err)
	}
	upstream := filepath.Join(strings.TrimSpace(string(dir)), "config")
	w := newWorld(t, emulator.Options{})
	home := t.TempDir()
	put := func(name, content string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(home, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	put(".config/notation/localkeys/notation.crt", w.Anchors(), 0o600)
	put("truststore/anchors.crt", w.Anchors(), 0o600)
	cosign, err := signing.NewCosignKey()
	if err != nil {
		t.Fatal(err)
	}
	key, err := cosign.PEM()
	if err != nil {
		t.Fatal(err)
	}
	put(".staging/cosign/cosign.pub", key, 0o600)
	for _, plugin := range []string{"sbom", "licensechecker", "vulnerabilityreport", "schemavalidator"} {
		put(".ratify/plugins/"+plugin, "#!/bin/sh\nexit 1\n", 0o700)
	}
	files, err := filepath.Glob(filepath.Join(upstream, "*.json"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v %v", files, err)
	}
	files = append(files, "../../config/samples/config.json") // and ours
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// The only thing that is changed: a directory of the image, which a test must not make.
			content = bytes.ReplaceAll(content, []byte("/usr/local/ratify-certs/notation/truststore"), []byte(filepath.Join(home, "truststore")))
			path := filepath.Join(home, "loaded.json")
			replaceFile(t, path, content)
			cmd := command(t, w, home, "verify", "-c", path, "-s", "localhost:1/app@sha256:"+strings.Repeat("0", 64))
			cmd.Dir = home
			stdout, stderr, code := execute(t, cmd)
			// It loads: what fails is the registry, which is not there.
			if code != exitUndetermined || !strings.Contains(stdout, `"outcome": "undetermined"`) || !strings.Contains(stdout, "localhost:1") {
				t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
			}
		})
	}
}
