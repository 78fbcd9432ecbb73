package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/hosts"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario/scenariotest"
)

// The binaries to compare. `make compat` builds them and sets these.
const (
	upstreamVariable = "RATIFY_UPSTREAM_BINARY"
	oursVariable     = "RATIFY_BINARY"
)

// Both binaries are asked about each kind of image in registries of both kinds, under the production host names.
func TestSameVerdicts(t *testing.T) {
	upstream, ours := os.Getenv(upstreamVariable), os.Getenv(oursVariable)
	if upstream == "" || ours == "" {
		t.Skip("run by make compat, which builds upstream's binary")
	}
	if err := hosts.Usable(t.Context()); err != nil {
		t.Skip(err)
	}
	w := scenariotest.Start(t, emulator.Options{})

	dir := t.TempDir()
	anchors := filepath.Join(dir, "anchors")
	if err := os.Mkdir(anchors, 0o700); err != nil {
		t.Fatal(err)
	}
	for i, anchor := range strings.SplitAfter(w.Anchors(), "-----END CERTIFICATE-----\n") {
		if strings.TrimSpace(anchor) != "" {
			writeFile(t, filepath.Join(anchors, fmt.Sprintf("%d.crt", i)), []byte(anchor))
		}
	}
	config := filepath.Join(dir, "config.json")
	writeFile(t, config, w.Config(func(c map[string]any) { // as upstream has it: anchors come from files
		delete(c, "keyManagementProvider")
		verifier := c["verifier"].(map[string]any)["plugins"].([]any)[0].(map[string]any)
		delete(verifier, "verificationCertStores")
		verifier["verificationCerts"] = []any{anchors}
	}))
	forwarded, err := hosts.Forward(w.Cloud, filepath.Join(dir, "hosts"), "sts.aliyuncs.com", "cr.cn-hangzhou.aliyuncs.com",
		"dockerauth.cn-hangzhou.aliyuncs.com", scenario.Demo.Host, scenario.Legacy.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = forwarded.Close() })

	for _, registry := range []scenario.Registry{scenario.Demo, scenario.Legacy} {
		for _, kind := range []scenario.Kind{
			scenario.SignedJWS, scenario.SignedCOSE, scenario.SelfSigned, scenario.Unsigned,
			scenario.Tampered, scenario.Stranger, scenario.AnothersSignature, scenario.Expired,
		} {
			t.Run(registry.Name+"/"+string(kind), func(t *testing.T) {
				repository := "compat/" + strings.Map(func(r rune) rune {
					if r >= 'a' && r <= 'z' {
						return r
					}
					return -1
				}, string(kind))
				image, err := w.Push(t.Context(), registry, repository, kind)
				if err != nil {
					t.Fatal(err)
				}
				args := []string{"verify", "-c", config, "-s", registry.Host + "/" + repository + "@" + image.Digest.String()}
				theirs := forwarded.Command(t.Context(), upstream, args...)
				mine := exec.CommandContext(t.Context(), ours, args...)
				mine.Env = append(w.Cloud.PodEnv(), "PATH="+os.Getenv("PATH"))
				want, got := verdict(t, theirs, dir), verdict(t, mine, dir)
				if got != want {
					t.Errorf("upstream says isSuccess=%t, ours %t", want, got)
				}
				t.Logf("isSuccess=%t", got)
			})
		}
	}
}

// verdict runs a verify command and returns isSuccess of what it prints.
func verdict(t *testing.T, cmd *exec.Cmd, home string) bool {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(cmd.Env, "HOME="+home)
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	var result struct {
		IsSuccess bool            `json:"isSuccess"`
		Outcome   string          `json:"outcome"` // ours only
		Reports   json.RawMessage `json:"verifierReports"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &result); err != nil || len(result.Reports) == 0 || result.Outcome == "undetermined" {
		t.Fatalf("%s printed no verdict: %v\n%s\n%s", cmd.Path, err, &stdout, &stderr)
	}
	return result.IsSuccess
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
