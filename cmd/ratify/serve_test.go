package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/gatekeeper"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// command returns the ratify command, as a pod of the cloud would run it.
func command(t *testing.T, w *scenario.World, home string, args ...string) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), executable, args...)
	cmd.Env = append(w.Cloud.PodEnv(), asMain+"=1", "HOME="+home)
	return cmd
}

// daemon is a running ratify serve.
type daemon struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	log  bytes.Buffer
	news chan struct{}
	done chan struct{} // closed when the log has ended
}

func startDaemon(t *testing.T, cmd *exec.Cmd) *daemon {
	t.Helper()
	d := &daemon{t: t, cmd: cmd, news: make(chan struct{}, 1), done: make(chan struct{})}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.done)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			d.mu.Lock()
			d.log.WriteString(lines.Text() + "\n")
			d.mu.Unlock()
			select {
			case d.news <- struct{}{}:
			default:
			}
		}
	}()
	return d
}

func (d *daemon) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// logged waits for the log to match n times and returns the first group of the last match.
func (d *daemon) logged(pattern string, n int) string {
	d.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		if matches := regexp.MustCompile(pattern).FindAllStringSubmatch(d.text(), -1); len(matches) >= n {
			return matches[n-1][len(matches[n-1])-1]
		}
		select {
		case <-d.news:
		case <-timeout:
			d.t.Fatalf("the log does not say %s %d times:\n%s", pattern, n, d.text())
		}
	}
}

// stop ends the daemon as Kubernetes does.
func (d *daemon) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	<-d.done
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("ratify ended with %v:\n%s", err, d.text())
	}
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func replaceFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestServe(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	replaceFile(t, path, w.Config(patient))
	signed := push(t, w, scenario.Demo, "serve/signed", scenario.SignedJWS)
	unsigned := push(t, w, scenario.Demo, "serve/unsigned", scenario.Unsigned)
	port := freePort(t)
	d := startDaemon(t, command(t, w, dir, "serve", "--http", "127.0.0.1:0", "--health-port", "127.0.0.1:0", "--config", path,
		"--cache-enabled", "--cache-ttl", "1m", "--metrics-enabled", "--metrics-port", port))
	url := "http://" + d.logged(`for=http address=(\S+)`, 1)
	health := "http://" + d.logged(`for=health-port address=(\S+)`, 1)
	d.logged("configuration loaded", 1)
	if status, text := fetch(t, health+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d %s", status, text)
	}
	check := func(when string, want map[string]bool) {
		t.Helper()
		a, err := gatekeeper.Ask(t.Context(), http.DefaultClient, url, signed, unsigned)
		if err != nil || fmt.Sprint(a.Verdicts) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v; want %v", when, a, err, want)
		}
	}
	trusted := map[string]bool{signed: true, unsigned: false}
	check("at first", trusted)

	replaceFile(t, path, []byte(`{"store": `))
	d.logged(`level=ERROR msg="the configuration was not changed.*line 1`, 1)
	check("after a bad edit", trusted)

	replaceFile(t, path, w.Config(func(c map[string]any) {
		patient(c)
		verifier := c["verifier"].(map[string]any)["plugins"].([]any)[0].(map[string]any)
		verifier["trustPolicyDoc"].(map[string]any)["trustPolicies"].([]any)[0].(map[string]any)["trustedIdentities"] = []any{"x509.subject: C=CN, ST=Zhejiang, O=Somebody else"}
	}))
	d.logged("configuration loaded", 2)
	check("after the trust was changed", map[string]bool{signed: false, unsigned: false})

	metrics := "http://127.0.0.1:" + port + "/metrics"
	_, text := fetch(t, metrics)
	for _, line := range []string{
		"ratify_verification_request_millisecond_count 3",
		`ratify_verdict_count_total{outcome="verified",workload_namespace=""} 2`,
		"ratify_configuration_generation 2",
		"ratify_configuration_error_count_total 1",
		`ratify_alibabacloud_request_count_total{service="sts",status_code="200"} 2`, // one a configuration
		`ratify_registry_request_count_total{registry_host="demo-registry.cn-hangzhou.cr.aliyuncs.com",status_code="200",workload_namespace=""}`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("the metrics lack %s:\n%s", line, text)
		}
	}
	if !regexp.MustCompile(`msg=verify trace_id=[0-9a-f-]{36} status=200 images=2 verified=1 refused=1 undetermined=0`).MatchString(d.text()) {
		t.Errorf("no line of the access log:\n%s", d.text())
	}
	for _, secret := range []string{"BEGIN CERT", "Bearer ", "eyJ"} {
		if strings.Contains(d.text(), secret) {
			t.Errorf("the log has %q in it:\n%s", secret, d.text())
		}
	}
	http.DefaultClient.CloseIdleConnections()
	d.stop()
}

func TestServeRefusesToStart(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.json"), filepath.Join(dir, "bad.json")
	replaceFile(t, good, w.Config(nil))
	replaceFile(t, bad, w.Config(func(c map[string]any) {
		store := c["store"].(map[string]any)["plugins"].([]any)[0].(map[string]any)
		store["authProvider"].(map[string]any)["defaultInstanceID2"] = "x"
	}))
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no address":     {[]string{"--config", good}, "--http is missing"},
		"no file":        {[]string{"--http", "127.0.0.1:0", "--config", filepath.Join(dir, "gone.json")}, "no such file"},
		"default file":   {[]string{"--http", "127.0.0.1:0"}, filepath.Join(dir, ".ratify", "config.json")},
		"bad key":        {[]string{"--http", "127.0.0.1:0", "--health-port", "", "--config", bad}, "defaultInstanceID2"},
		"no API server":  {[]string{"--http", "127.0.0.1:0", "--config", good, "--enable-crd-manager"}, "--enable-crd-manager"},
		"metrics type":   {[]string{"--http", "127.0.0.1:0", "--config", good, "--metrics-enabled", "--metrics-type", "x"}, "--metrics-type"},
		"no certificate": {[]string{"--http", "127.0.0.1:0", "--health-port", "", "--config", good, "--cert-dir", dir}, "--cert-dir"},
		"CA without TLS": {[]string{"--http", "127.0.0.1:0", "--health-port", "", "--config", good, "--ca-cert-file", good}, "--cert-dir"},
		"health's port":  {[]string{"--http", "127.0.0.1:0", "--config", good, "--health-port", "nowhere"}, "--health-port"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := command(t, w, dir, append([]string{"serve"}, tt.args...)...).CombinedOutput()
			if err == nil || !strings.Contains(string(text), tt.want) {
				t.Errorf("%v, want %q:\n%s", err, tt.want, text)
			}
		})
	}
}

// The watcher of the server's certificate logs with controller-runtime's logger, which is silent until it is given one.
func TestServeTellsOfABrokenCertificate(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	dir := t.TempDir()
	path, certificate := filepath.Join(dir, "config.json"), filepath.Join(dir, "tls.crt")
	replaceFile(t, path, w.Config(nil))
	identity, err := signing.SelfSigned("ratify")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(identity.Key)
	if err != nil {
		t.Fatal(err)
	}
	replaceFile(t, filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	replaceFile(t, certificate, []byte(identity.PEM()))
	d := startDaemon(t, command(t, w, dir, "serve", "--http", "127.0.0.1:0", "--health-port", "", "--config", path, "--cert-dir", dir))
	d.logged("configuration loaded", 1)
	d.logged("certificate poll", 1)
	replaceFile(t, certificate, []byte("broken"))
	d.logged("level=ERROR .*certificate.*PEM", 1)
	d.stop()
}

func TestMetricsTypeIsReadAsUpstreamReadsIt(t *testing.T) {
	for _, name := range []string{"prometheus", "Prometheus"} {
		o := serveOptions{address: ":6001", metricsEnabled: true, metricsType: name}
		if err := o.validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// freePort returns a port that was free a moment ago, for a flag that takes no 0.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	return port
}
