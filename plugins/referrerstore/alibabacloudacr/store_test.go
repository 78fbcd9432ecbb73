package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// All commands read a signed image, by tag and by digest, with the pod's own identity.
func TestCommands(t *testing.T) {
	w := newWorld(t)
	tagged, digested := push(t, w, scenario.SignedJWS)
	s := open(t, config.StorePluginConfig{"name": "alibabacloudacr"})
	ctx := t.Context()
	for _, subject := range []common.Reference{tagged, digested} {
		desc, err := s.GetSubjectDescriptor(ctx, subject)
		if err != nil || desc.Digest != digested.Digest || desc.MediaType == "" {
			t.Fatalf("GetSubjectDescriptor(%s) = %v, %v", subject, desc, err)
		}
		page, err := s.ListReferrers(ctx, subject, nil, "", nil)
		if err != nil || len(page.Referrers) != 1 || page.Referrers[0].ArtifactType != signatureType || page.NextToken != "" {
			t.Fatalf("ListReferrers(%s) = %+v, %v", subject, page, err)
		}
		manifest, err := s.GetReferenceManifest(ctx, subject, ocispecs.ReferenceDescriptor{Descriptor: described(page.Referrers[0].Descriptor)})
		if err != nil || len(manifest.Blobs) != 1 || manifest.Subject.Digest != digested.Digest {
			t.Fatalf("GetReferenceManifest(%s) = %+v, %v", subject, manifest, err)
		}
		blob, err := s.GetBlobContent(ctx, subject, manifest.Blobs[0].Digest)
		if err != nil || int64(len(blob)) != manifest.Blobs[0].Size {
			t.Fatalf("GetBlobContent(%s) = %d bytes, %v", subject, len(blob), err)
		}
	}
	page, err := s.ListReferrers(ctx, digested, []string{"application/sbom"}, "", nil)
	if err != nil || len(page.Referrers) != 0 {
		t.Errorf("ListReferrers(another type) = %+v, %v", page, err)
	}
}

// Ratify would make nothing of a COSE envelope: it is told so.
func TestCOSE(t *testing.T) {
	w := newWorld(t)
	_, subject := push(t, w, scenario.SignedCOSE)
	s := open(t, config.StorePluginConfig{"name": "alibabacloudacr"})
	_, manifest := signatureOf(t, s, subject)
	_, err := s.GetBlobContent(t.Context(), subject, manifest.Blobs[0].Digest)
	if err == nil || !strings.Contains(err.Error(), "use the verifier alibabacloudnotation") {
		t.Errorf("GetBlobContent() = %v", err)
	}
}

// Every service that fails is an error that names it.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	_, subject := push(t, w, scenario.SignedJWS)
	s := open(t, config.StorePluginConfig{"name": "alibabacloudacr"})
	for _, host := range []string{"sts.aliyuncs.com", "cr.cn-hangzhou.aliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com", scenario.Demo.Host} {
		service := w.Cloud.Endpoint(host)
		for name, fault := range map[string]emulator.Fault{"500": {Status: http.StatusInternalServerError}, "403": {Status: http.StatusForbidden}} {
			service.SetFault(fault)
			_, err := s.GetSubjectDescriptor(t.Context(), subject)
			service.SetFault(emulator.Fault{})
			if err == nil || !strings.Contains(err.Error(), host) {
				t.Errorf("%s answers %s: %v", host, name, err)
			}
		}
	}
}

// Runs share one password, also when they begin at the same time, and one that the registry refuses is fetched anew.
func TestTokenCache(t *testing.T) {
	w := newWorld(t)
	_, subject := push(t, w, scenario.SignedJWS)
	folder := memory(t)
	s := open(t, config.StorePluginConfig{"name": "alibabacloudacr", "tokenCache": folder})
	w.Cloud.ResetCalls()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	sts, cr := w.Cloud.Endpoint("sts.aliyuncs.com"), w.Cloud.Endpoint("cr.cn-hangzhou.aliyuncs.com")
	if sts.Calls() > 4 || cr.Calls() > 4 { // more than one where the machine is too busy for a run to fetch within the others' patience
		t.Errorf("8 runs made %d calls to STS and %d to the API", sts.Calls(), cr.Calls())
	}
	before := cr.Calls()
	if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil || cr.Calls() != before {
		t.Errorf("one more run makes %d calls to the API: %v", cr.Calls()-before, err)
	}
	other := open(t, config.StorePluginConfig{"name": "alibabacloudacr", "tokenCache": folder,
		"authProvider": map[string]any{"name": "alibabacloudAcrBasic", "region": "cn-hangzhou"}})
	if _, err := other.GetSubjectDescriptor(t.Context(), subject); err != nil || cr.Calls() != before+1 {
		t.Errorf("another configuration makes %d calls to the API, want 1: %v", cr.Calls()-before, err)
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s has mode %v, %v", file.Name(), info.Mode(), err)
		}
	}
}

// A second instance's password costs no session more, whatever becomes of the pod's token; a session that has ended is fetched anew by the run
// that finds out.
func TestSessionCache(t *testing.T) {
	w := newWorld(t)
	_, demo := push(t, w, scenario.SignedJWS)
	_, legacy := pushTo(t, w, scenario.Legacy, scenario.SignedJWS)
	folder := memory(t)
	s := open(t, config.StorePluginConfig{"name": "alibabacloudacr", "tokenCache": folder,
		"authProvider": map[string]any{"name": "alibabacloudAcrBasic", "acrInstancesConfig": []any{
			map[string]any{"instanceName": scenario.Legacy.Name, "instanceId": scenario.Legacy.ID}}}})
	remove := func(kind string) {
		for _, file := range entries(t, folder, kind) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, step := range []struct {
		name    string
		before  func()
		subject common.Reference
		sts, cr int
	}{
		{"the first image", func() {}, demo, 1, 1},
		{"an image of another instance", func() {}, legacy, 0, 1},
		{"after the token was renewed", func() { remove("password"); w.Cloud.WriteTokenFile(emulator.TokenOptions{}) }, demo, 0, 1},
		{"after the session was revoked", func() { remove("password"); w.Cloud.RevokeSessions() }, demo, 1, 2},
		{"with the new session", func() { remove("password") }, legacy, 0, 1},
		{"in the session's last minute", func() {
			remove("password")
			edit(t, folder, "session", "expires", time.Now().Add(50*time.Second))
		}, demo, 1, 1},
		{"after the file was broken", func() {
			remove("password")
			if err := os.Truncate(entries(t, folder, "session")[0], 20); err != nil {
				t.Fatal(err)
			}
		}, demo, 1, 1},
		{"after others could read the file", func() {
			remove("password")
			if err := os.Chmod(entries(t, folder, "session")[0], 0o644); err != nil {
				t.Fatal(err)
			}
		}, demo, 1, 1},
	} {
		step.before()
		w.Cloud.ResetCalls()
		if _, err := s.GetSubjectDescriptor(t.Context(), step.subject); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if sts, cr := w.Cloud.Endpoint("sts.aliyuncs.com").Calls(), w.Cloud.Endpoint("cr.cn-hangzhou.aliyuncs.com").Calls(); sts != step.sts || cr != step.cr {
			t.Errorf("%s: %d calls to STS and %d to the API, want %d and %d", step.name, sts, cr, step.sts, step.cr)
		}
	}
	another := open(t, config.StorePluginConfig{"name": "alibabacloudacr", "tokenCache": folder,
		"authProvider": map[string]any{"name": "alibabacloudAcrBasic", "roleArn": "acs:ram::1234567890123456:role/another"}})
	if _, err := another.GetSubjectDescriptor(t.Context(), demo); err == nil || !strings.Contains(err.Error(), "role/another") {
		t.Errorf("another role has the session: %v", err)
	}
	w.Cloud.WriteTokenFile(emulator.TokenOptions{Subject: "system:serviceaccount:default:default"})
	for _, kept := range []string{"password", "session"} {
		if _, err := s.GetSubjectDescriptor(t.Context(), demo); err == nil || !strings.Contains(err.Error(), "sts.aliyuncs.com") {
			t.Errorf("another service account has the %s: %v", kept, err)
		}
		remove("password")
	}
}

// A file of the cache that is ignored is told of on the standard error, and the reply is there all the same.
func TestForeignCacheFile(t *testing.T) {
	w := newWorld(t)
	_, subject := push(t, w, scenario.SignedJWS)
	folder := memory(t)
	stdin := `{"name":"alibabacloudacr","tokenCache":"` + folder + `"}`
	for _, spoil := range []func(file string) error{
		func(string) error { return nil },
		func(file string) error { return os.WriteFile(file, []byte("{"), 0o600) },
	} {
		files := append(entries(t, folder, "session"), entries(t, folder, "password")...)
		for _, file := range files {
			if err := spoil(file); err != nil {
				t.Fatal(err)
			}
		}
		stdout, stderr, code := run(t, stdin, call("GETSUBJECTDESCRIPTOR", subject.Original, "")...)
		if code != 0 || strings.Count(stdout, "\n") != 1 || !strings.Contains(stdout, subject.Digest.String()) {
			t.Errorf("it ends with %d and prints %s", code, stdout)
		}
		for _, file := range files {
			if strings.Count(stderr, file) != 1 {
				t.Errorf("of %s it logs %q", file, stderr)
			}
		}
		if strings.Count(stderr, "\n") != len(files) || strings.Contains(stderr, "{") {
			t.Errorf("it logs %q", stderr)
		}
	}
}

// entries returns the files of a kind in a cache.
func entries(t *testing.T, folder, kind string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, kind+"-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A password that the registry refuses is fetched anew by the run that finds out, unless it was just fetched.
func TestRefusedPassword(t *testing.T) {
	w := newWorld(t)
	_, subject := push(t, w, scenario.SignedJWS)
	folder := memory(t)
	s := open(t, config.StorePluginConfig{"name": "alibabacloudacr", "tokenCache": folder})
	resolve := func() error {
		_, err := s.GetSubjectDescriptor(t.Context(), subject)
		return err
	}
	if err := resolve(); err != nil {
		t.Fatal(err)
	}
	w.Cloud.RevokePasswords()
	if err := resolve(); err == nil || !strings.Contains(err.Error(), scenario.Demo.ID) {
		t.Errorf("with a password that was just fetched and is refused: %v", err)
	}
	edit(t, folder, "password", "fetched", time.Now().Add(-2*time.Minute))
	for range 2 {
		if err := resolve(); err != nil {
			t.Errorf("with an older password that is refused: %v", err)
		}
	}
	if n := w.Cloud.Endpoint("cr.cn-hangzhou.aliyuncs.com").Calls(); n != 2 {
		t.Errorf("%d passwords were fetched", n)
	}
}

// edit changes a field of the entry of a kind in a cache, of which there is one.
func edit(t *testing.T, folder, kind, field string, value any) {
	t.Helper()
	files := entries(t, folder, kind)
	if len(files) != 1 {
		t.Fatalf("the cache has %v", files)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var entry map[string]any
	if err := json.Unmarshal(content, &entry); err != nil {
		t.Fatal(err)
	}
	entry[field] = value
	if content, err = json.Marshal(entry); err == nil {
		err = os.WriteFile(files[0], content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Many referrers come in pages that Ratify can read, in order, each once.
func TestPages(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, 300, 500} {
		all := make([]ocispecs.ReferenceDescriptor, n)
		for i := range all {
			all[i].Digest = digestOf(i % 200) // lists may name one twice
			all[i].Annotations = map[string]string{"a": strings.Repeat("x", 300)}
		}
		s := listed{all: all}
		token, got, pages := "", []ocispecs.ReferenceDescriptor(nil), 0
		for {
			reply, err := listReferrers(t.Context(), s, common.Reference{Digest: digestOf(0)}, arguments{nextToken: token})
			if err != nil {
				t.Fatal(err)
			}
			page := decoded(t, reply)
			got, token = append(got, page.Referrers...), page.NextToken
			if pages++; len(reply) > maxPage {
				t.Errorf("a page of %d bytes", len(reply))
			}
			if token == "" {
				break
			}
		}
		if len(got) != n || pages > 1+n*500/maxPage*4 {
			t.Errorf("%d of %d referrers come in %d pages", len(got), n, pages)
		}
		for i := range got {
			if got[i].Digest != all[i].Digest {
				t.Fatalf("%d: referrer %d is %s, want %s", n, i, got[i].Digest, all[i].Digest)
			}
		}
	}
	s := listed{all: make([]ocispecs.ReferenceDescriptor, 2)}
	s.all[0].Digest, s.all[1].Digest = digestOf(0), digestOf(1)
	for _, token := range []string{"x", "0@", "-1@", "1@sha256:x", "3@", "1", fmt.Sprintf("1@%s", digestOf(1))} {
		if _, err := listReferrers(t.Context(), s, common.Reference{}, arguments{nextToken: token}); err == nil {
			t.Errorf("page %q is there", token)
		}
	}
}

// A service that hangs is given up by the plugin itself.
func TestHang(t *testing.T) {
	w := newWorld(t)
	_, subject := push(t, w, scenario.SignedJWS)
	w.Cloud.Endpoint("sts.aliyuncs.com").SetFault(emulator.Fault{Hang: true})
	s := open(t, config.StorePluginConfig{"name": "alibabacloudacr", "authProvider": map[string]any{"name": "alibabacloudAcrBasic", "timeout": "200ms"}})
	_, err := s.GetSubjectDescriptor(t.Context(), subject)
	if err == nil || !strings.Contains(err.Error(), "sts.aliyuncs.com") || !strings.Contains(err.Error(), `"code":8`) {
		t.Errorf("GetSubjectDescriptor() = %v", err)
	}
}
