package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
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
	if out, err := exec.CommandContext(t.Context(), "unshare", "--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts").CombinedOutput(); err != nil {
		t.Skipf("upstream's binary finds the emulated cloud through a hosts file only, and mounting one takes root: %v %s", err, out)
	}
	cloud, err := emulator.Start(emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cloud.Close() })
	w, err := scenario.New(cloud)
	if err != nil {
		t.Fatal(err)
	}
	cloud.WriteTokenFile(emulator.TokenOptions{})

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
	hosts := forwardHosts(t, cloud, dir)

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
				theirs := exec.CommandContext(t.Context(), "unshare", append([]string{"--mount", "sh", "-c",
					`mount --bind "$HOSTS" /etc/hosts && exec "$0" "$@"`, upstream}, args...)...)
				theirs.Env = []string{"HOSTS=" + hosts}
				for _, variable := range cloud.PodEnv() {
					if !strings.HasPrefix(variable, "HTTPS_PROXY=") {
						theirs.Env = append(theirs.Env, variable)
					}
				}
				mine := exec.CommandContext(t.Context(), ours, args...)
				mine.Env = cloud.PodEnv()
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
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"), "HOME="+home)
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

// forwardHosts makes the cloud reachable on port 443 of a loopback address for each host, and returns a hosts file that says so.
func forwardHosts(t *testing.T, cloud *emulator.Cloud, dir string) string {
	t.Helper()
	names := []string{"sts.aliyuncs.com", "cr.cn-hangzhou.aliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com", scenario.Demo.Host, scenario.Legacy.Host}
	file := "127.0.0.1 localhost\n"
	for i, name := range names {
		ip := fmt.Sprintf("127.0.44.%d", i+1)
		forward(t, ip+":443", cloud.Addr(name))
		file += ip + " " + name + "\n"
	}
	path := filepath.Join(dir, "hosts")
	writeFile(t, path, []byte(file))
	return path
}

// forward carries what comes to one address to another, until the test ends.
func forward(t *testing.T, from, to string) {
	t.Helper()
	listener, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				var wg sync.WaitGroup
				wg.Go(func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() })
				wg.Go(func() { _, _ = io.Copy(in, out); _ = in.(*net.TCPConn).CloseWrite() })
				wg.Wait()
			}()
		}
	}()
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
