package main

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/gatekeeper"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// The only trust anchor is in KMS. It is rotated, KMS is down for a while, and in the end the secret is deleted, all while the server runs.
func TestServeFollowsKMS(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	root, kms := w.Root(), strings.TrimPrefix(w.Anchors(), w.Root())
	w.Cloud.KMS().PutSecret("anchors", root)
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	configuration := w.Config(func(c map[string]any) {
		patient(c)
		c["keyManagementProvider"] = map[string]any{"plugins": []any{map[string]any{
			"name": "ratify-notation-inline-cert", "type": "alibabacloudkms", "region": scenario.Demo.Region, "refreshInterval": "1s",
			"certificates": []any{map[string]any{"secretName": "anchors"}},
		}}}
	})
	replaceFile(t, path, configuration)
	issued := push(t, w, scenario.Demo, "kms/issued", scenario.SignedJWS)
	selfSigned := push(t, w, scenario.Demo, "kms/self-signed", scenario.SelfSigned)
	port := freePort(t)
	d := startDaemon(t, command(t, w, dir, "serve", "--http", "127.0.0.1:0", "--health-port", "", "--config", path,
		"--cache-enabled", "--cache-ttl", "1h", "--metrics-enabled", "--metrics-port", port))
	url := "http://" + d.logged(`for=http address=(\S+)`, 1)
	metric := func(line string) { // which comes a moment after the log
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; {
			_, text := fetch(t, "http://127.0.0.1:"+port+"/metrics")
			if strings.Contains(text, line) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the metrics lack %s:\n%s", line, text)
			}
		}
	}
	check := func(when string, want map[string]bool) {
		t.Helper()
		a, err := gatekeeper.Ask(t.Context(), http.DefaultClient, url, issued, selfSigned)
		if err != nil || fmt.Sprint(a.Verdicts) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v; want %v", when, a, err, want)
		}
	}
	d.logged("configuration loaded", 1)
	check("at first", map[string]bool{issued: true, selfSigned: false})
	metric(`ratify_certificate_expiry_timestamp_seconds{key_management_provider="ratify-notation-inline-cert"} `)

	w.Cloud.KMS().PutSecret("anchors", kms)
	d.logged("configuration loaded", 2)
	rotated := map[string]bool{issued: false, selfSigned: true}
	check("rotated", rotated)

	gateway := w.Cloud.Endpoint("kms." + scenario.Demo.Region + ".aliyuncs.com")
	gateway.SetFault(emulator.Fault{Status: http.StatusServiceUnavailable})
	d.logged(`level=WARN msg="a key management provider could not be read in full.*503`, 1)
	check("KMS is down", rotated)
	metric(`ratify_key_management_provider_degraded{key_management_provider="ratify-notation-inline-cert"} 1`)

	gateway.SetFault(emulator.Fault{})
	d.logged(`msg="key material loaded"`, 3)
	check("KMS is back", rotated)

	w.Cloud.KMS().DeleteSecret("anchors")
	d.logged(`level=ERROR msg="images cannot be verified`, 1)
	check("the anchors are gone", nil)
	if a, err := gatekeeper.Ask(t.Context(), http.DefaultClient, url, issued); err != nil || !strings.Contains(a.Text, "no key material is left") {
		t.Errorf("the answer does not tell why: %v %s", err, a.Text)
	}
	replaceFile(t, path, []byte("{")) // a mistake at this moment does not end the server
	d.logged("the configuration was not changed", 1)
	replaceFile(t, path, configuration)
	d.logged("the configuration was not changed", 2)

	w.Cloud.KMS().PutSecret("anchors", root+kms)
	d.logged("configuration loaded", 3)
	check("the anchors are there again", map[string]bool{issued: true, selfSigned: true})
	for _, secret := range []string{"BEGIN CERT", "Bearer ", "eyJ"} {
		if strings.Contains(d.text(), secret) {
			t.Errorf("the log has %q in it:\n%s", secret, d.text())
		}
	}
	http.DefaultClient.CloseIdleConnections()
	d.stop()
}

// While a new configuration cannot be taken, the last one follows KMS; and it is taken later if KMS was the reason.
func TestLoadWhileKMSChanges(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	root, own := w.Root(), strings.TrimPrefix(w.Anchors(), w.Root())
	w.Cloud.KMS().PutSecret("anchors", root+own)
	content := func(interval string) []byte {
		return w.Config(func(c map[string]any) {
			patient(c)
			c["keyManagementProvider"] = map[string]any{"plugins": []any{map[string]any{
				"name": "ratify-notation-inline-cert", "type": "alibabacloudkms", "region": scenario.Demo.Region, "refreshInterval": interval, "timeout": "2s",
				"certificates": []any{map[string]any{"secretName": "anchors"}},
			}}}
		})
	}
	issued := push(t, w, scenario.Demo, "kms/issued", scenario.SignedJWS)
	p := startInProcess(t, w, serveOptions{cacheEnabled: true, cacheTTL: time.Hour}, content("1h"))
	check := func(when string, want bool) {
		t.Helper()
		if a := p.ask(issued); a.Verdicts[issued] != want {
			t.Errorf("%s: %v, want %t", when, a.Verdicts, want)
		}
	}
	load := func(content []byte) error {
		c, err := config.Parse("config.json", content, p.log)
		return p.load(t.Context(), c, err)
	}
	check("at first", true)

	w.Cloud.KMS().PutSecret("anchors", own)
	mistaken := strings.Replace(string(content("1h")), `"verificationCertStores"`, `"verificationCertStore"`, 1)
	if err := load([]byte(mistaken)); err == nil {
		t.Fatal("a mistake is taken")
	}
	check("a trust anchor was taken back, and a mistaken configuration read KMS", false)

	gateway := w.Cloud.Endpoint("kms." + scenario.Demo.Region + ".aliyuncs.com")
	gateway.SetFault(emulator.Fault{Status: http.StatusForbidden, Body: `{"Code":"Forbidden.NoPermission"}`})
	if err := load(content("2h")); !errors.Is(err, config.ErrKeyMaterial) {
		t.Fatalf("an edited provider is taken although KMS cannot be read: %v", err)
	}
	if at := p.due(); at.IsZero() || time.Until(at) > retryPending {
		t.Errorf("the next time is %s", at)
	}
	p.again = time.Now()
	p.refreshed(t.Context(), false)
	if p.pending == nil {
		t.Error("it was given up")
	}
	gateway.SetFault(emulator.Fault{})
	w.Cloud.KMS().PutSecret("anchors", root)
	p.again = time.Now()
	p.refreshed(t.Context(), false)
	if p.pending != nil {
		t.Error("it was not taken when KMS was there again")
	}
	check("KMS is there again", true)
}
