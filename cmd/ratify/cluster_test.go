package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/apiserver"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/gatekeeper"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// manifest returns a resource of a kind, whose parameters are a block of config.json.
func manifest(t *testing.T, kind, name string, spec, block map[string]any) string {
	t.Helper()
	spec["parameters"] = block
	words, err := json.Marshal(map[string]any{
		"apiVersion": "config.ratify.deislabs.io/v1beta1", "kind": kind, "metadata": map[string]any{"name": name}, "spec": spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(words)
}

// The configuration comes from Kubernetes resources, the serving certificate from a Secret, and a pod's restart needs neither file.
func TestServeFollowsResources(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	var c struct {
		Store                 struct{ Plugins []map[string]any }
		Policy                struct{ Plugin map[string]any }
		Verifier              struct{ Plugins []map[string]any }
		KeyManagementProvider struct{ Plugins []map[string]any }
	}
	if err := json.Unmarshal(w.Config(nil), &c); err != nil {
		t.Fatal(err)
	}
	signed := push(t, w, scenario.Demo, "cluster/signed", scenario.SignedJWS)
	unsigned := push(t, w, scenario.Demo, "cluster/unsigned", scenario.Unsigned)

	s := apiserver.Start(t, apiserver.Options{})
	trust := c.KeyManagementProvider.Plugins[0]
	provider := manifest(t, "KeyManagementProvider", "ratify-notation-inline-cert", map[string]any{"type": "inline"},
		map[string]any{"contentType": "certificate", "value": trust["value"]})
	s.Apply(t, strings.Join([]string{
		manifest(t, "Store", "store-oras", map[string]any{"name": "oras"}, c.Store.Plugins[0]),
		manifest(t, "Policy", "ratify-policy", map[string]any{"type": "configPolicy"}, c.Policy.Plugin),
		manifest(t, "Verifier", "verifier-notation", map[string]any{"name": "notation", "artifactTypes": c.Verifier.Plugins[0]["artifactTypes"]}, c.Verifier.Plugins[0]),
		provider,
		"apiVersion: v1\nkind: Secret\nmetadata: {namespace: security, name: ratify-tls}",
		"apiVersion: externaldata.gatekeeper.sh/v1beta1\nkind: Provider\nmetadata: {name: ratify-provider}\nspec: {url: 'https://ratify.security:6001'}",
	}, "\n---\n"))

	dir := t.TempDir()
	path, kubeconfig := filepath.Join(dir, "config.json"), filepath.Join(dir, "kubeconfig")
	replaceFile(t, path, []byte(`{"executor": {"verificationRequestTimeout": 20000}, "logger": {"formatter": "text"}}`))
	replaceFile(t, kubeconfig, s.Kubeconfig())
	cmd := command(t, w, dir, "serve", "--http", "127.0.0.1:0", "--health-port", "127.0.0.1:0", "--config", path, "--enable-crd-manager", "--cert-dir", dir)
	cmd.Env = append(cmd.Env, "KUBECONFIG="+kubeconfig, "RATIFY_CERT_ROTATION=1", "RATIFY_NAMESPACE=security", "RATIFY_NAME=ratify", "POD_NAME=ratify-0")
	d := startDaemon(t, cmd)
	url := "https://" + d.logged(`for=http address=(\S+)`, 1)
	health := "http://" + d.logged(`for=health-port address=(\S+)`, 1)
	d.logged("configuration loaded", 1)
	d.logged("the server shows another certificate", 1)
	if status, text := fetch(t, health+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d %s", status, text)
	}

	bundle, _ := s.Objects("Provider")[0].Object["spec"].(map[string]any)["caBundle"].(string)
	authority, err := base64.StdEncoding.DecodeString(bundle)
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(authority) {
		t.Fatalf("the provider's caBundle is %q: %v", bundle, err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "ratify.security"}}}
	defer client.CloseIdleConnections()
	check := func(when string, want map[string]bool) {
		t.Helper()
		a, err := gatekeeper.Ask(t.Context(), client, url, signed, unsigned)
		if err != nil || fmt.Sprint(a.Verdicts) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v; want %v", when, a, err, want)
		}
	}
	check("at first", map[string]bool{signed: true, unsigned: false})

	s.Apply(t, manifest(t, "Verifier", "verifier-notation", map[string]any{"name": "notation", "artifactTypes": "x"}, map[string]any{"nothing": true}))
	d.logged(`a resource cannot be used.*Verifier verifier-notation`, 1)
	check("with a broken verifier", map[string]bool{signed: true, unsigned: false})
	s.Wait(t, "the event", func() bool { return len(s.Objects("Event")) == 1 })
	if event := s.Objects("Event")[0]; !strings.HasPrefix(event.Object["reportingInstance"].(string), "ratify-0") {
		t.Errorf("the event is by %s", event.Object["reportingInstance"])
	}

	loads := strings.Count(d.text(), "configuration loaded")
	s.Delete(t, "KeyManagementProvider", "", "ratify-notation-inline-cert")
	d.logged("configuration loaded", loads+1)
	check("without trust", map[string]bool{unsigned: false}) // the other one is undetermined

	client.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	d.stop()
}
