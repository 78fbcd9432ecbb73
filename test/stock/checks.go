package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// verdicts has `ratify verify` judge each image in each way.
func (e *environment) verdicts(ctx context.Context) error {
	for _, w := range []way{onStore, onVerify, both, bothKMS} {
		config, err := e.config(w, e.plugins)
		if err != nil {
			return err
		}
		for _, i := range e.world.images {
			name := fmt.Sprintf("verify, %s: %s is %s", w.name, i.name, words(w.admits(i)))
			e.report.Check(name, e.expect(ctx, w, config, i.reference, w.admits(i)))
		}
	}
	return nil
}

// served asks `ratify serve` about each image in each way, by tag.
func (e *environment) served(ctx context.Context) error {
	for _, w := range []way{onStore, onVerify, both} {
		s, err := e.serve(ctx, w)
		if err != nil {
			return err
		}
		for _, i := range e.world.images {
			admitted, text, err := s.ask(ctx, i.tagged)
			if err == nil && admitted != w.admits(i) {
				err = fmt.Errorf("the answer is %s", text)
			}
			e.report.Check(fmt.Sprintf("serve, %s: %s is %s", w.name, i.name, words(w.admits(i))), err)
		}
		if err := s.stop(); err != nil {
			return err
		}
	}
	return nil
}

// undetermined lets services fail: nothing is admitted until they are back.
func (e *environment) undetermined(ctx context.Context) error {
	signed := e.world.find("demo, signed, chain, JWS")
	for _, host := range []string{"sts.aliyuncs.com", "cr.cn-hangzhou.aliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com", scenario.Demo.Host,
		"kms.cn-hangzhou.aliyuncs.com"} {
		service := e.world.Cloud.Endpoint(host)
		for _, w := range []way{both, bothKMS} {
			config, err := e.config(w, e.plugins)
			if err != nil {
				return err
			}
			admitted := host == "kms.cn-hangzhou.aliyuncs.com" && !w.kms
			service.SetFault(emulator.Fault{Status: http.StatusServiceUnavailable})
			e.report.Check(fmt.Sprintf("%s while %s fails: the image is %s", w.name, host, words(admitted)), e.expect(ctx, w, config, signed.reference, admitted))
			service.SetFault(emulator.Fault{})
			e.report.Check(fmt.Sprintf("%s when %s is back: the image is admitted", w.name, host), e.expect(ctx, w, config, signed.reference, true))
		}
	}
	return nil
}

// cached is the way with sessions and passwords in memory between runs, in a folder of which there is none yet.
func (e *environment) cached(w way) (cached way, folder string, remove func(), err error) {
	parent, err := os.MkdirTemp("/dev/shm", "ratify-stock-")
	folder = filepath.Join(parent, "cache")
	return w.with("tokenCache", "tokenCache", folder), folder, func() { _ = os.RemoveAll(parent) }, err
}

// cache counts the calls for sessions and passwords with a tokenCache, in what state ever that is.
func (e *environment) cache(ctx context.Context) error {
	w, folder, remove, err := e.cached(bothKMS)
	if err != nil {
		return err
	}
	defer remove()
	// Without a region of its own the store asks another endpoint of STS than KMS's region has.
	configure := w.edit
	w.edit = func(store, verifier map[string]any) {
		configure(store, verifier)
		store["authProvider"].(map[string]any)["region"] = scenario.Demo.Region
	}
	config, err := e.config(w, e.plugins)
	if err != nil {
		return err
	}
	cloud := e.world.Cloud
	demo, legacy, unsigned := e.world.find("demo, signed, chain, JWS"), e.world.find("legacy, signed, chain, JWS"), e.world.find("demo, unsigned")
	each := func(pattern string, do func(file string) error) error {
		files, err := filepath.Glob(filepath.Join(folder, pattern))
		for _, file := range files {
			err = errors.Join(err, do(file))
		}
		if len(files) == 0 {
			err = errors.Join(err, fmt.Errorf("there is no %s in the cache", pattern))
		}
		return err
	}
	for _, run := range []struct {
		name    string
		before  func() error
		image   image
		sts, cr int
	}{
		{"the first image costs a session and a password", func() error { return nil }, demo, 1, 1},
		{"the next one none", func() error { return nil }, demo, 0, 0},
		{"one of another instance a password", func() error { return nil }, legacy, 0, 1},
		{"one after the pod's token was renewed none", func() error { cloud.WriteTokenFile(emulator.TokenOptions{}); return nil }, demo, 0, 0},
		{"one after the session was revoked a session", func() error { cloud.RevokeSessions(); return nil }, demo, 1, 0},
		{"one while the files are broken a session and a password, and an unsigned one is not admitted", func() error {
			return each("*.json", func(file string) error { return os.Truncate(file, 10) })
		}, unsigned, 1, 1},
		{"one while others may read the session a session", func() error {
			return each("session-*.json", func(file string) error { return os.Chmod(file, 0o644) })
		}, demo, 1, 0},
		{"one while another user owns the session a session", func() error {
			return each("session-*.json", func(file string) error { return os.Chown(file, 12345, 0) })
		}, demo, 1, 0},
	} {
		if err := run.before(); errors.Is(err, syscall.EINVAL) { // there are no other users in a user namespace
			continue
		} else if err != nil {
			return err
		}
		cloud.ResetCalls()
		err := e.expect(ctx, w, config, run.image.reference, run.image.admitted)
		if calls := count(cloud); err == nil && (calls[sts] != run.sts || calls[cr] != run.cr) {
			err = fmt.Errorf("%d sessions and %d passwords, want %d and %d: %v", calls[sts], calls[cr], run.sts, run.cr, cloud.Calls())
		}
		e.report.Check(w.name+": "+run.name, err)
	}
	cloud.RevokePasswords()
	e.report.Check(w.name+": a password that was just fetched and is refused stays: the image is not admitted", e.expect(ctx, w, config, demo.reference, false))
	return e.together(ctx)
}

// together asks about images at the same time, which share a session and a password.
func (e *environment) together(ctx context.Context) error {
	w, _, remove, err := e.cached(both)
	if err != nil {
		return err
	}
	defer remove()
	s, err := e.serve(ctx, w)
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	e.world.Cloud.ResetCalls()
	var all errgroup.Group
	for _, i := range e.world.images {
		if !strings.HasPrefix(i.name, scenario.Demo.Name) {
			continue
		}
		all.Go(func() error {
			admitted, text, err := s.ask(ctx, i.reference)
			if err == nil && admitted != i.admitted {
				err = fmt.Errorf("%s: %s", i.name, text)
			}
			return err
		})
	}
	err = all.Wait()
	// More than one each where the machine is too busy for a run to fetch within the others' patience.
	if calls := count(e.world.Cloud); err == nil && (calls[sts] > 4 || calls[cr] > 4) {
		err = fmt.Errorf("%d sessions and %d passwords were fetched", calls[sts], calls[cr])
	}
	e.report.Check(w.name+": images that are asked about at the same time share a session and a password", err)
	return nil
}

// mistakes are configurations that Ratify hands on and the plugins refuse: the report says why.
func (e *environment) mistakes(ctx context.Context) error {
	signed := e.world.find("demo, signed, chain, JWS")
	disk := filepath.Join(e.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		return err
	}
	for _, m := range []struct {
		way  way
		says string
	}{
		{onStore.with("a misspelt key", "usehttpp", true), "did you mean useHttp?"},
		{onVerify.with("a misspelt key", "usehttpp", true), "did you mean useHttp?"},
		{onStore.with("a tokenCache on a disk", "tokenCache", disk), "is on a disk"},
		{onStore.with("another auth provider", "authProvider", map[string]any{"name": "awsEcrBasic"}), "plugins have alibabacloudAcrBasic"},
		{way{name: "verifier plugin, a provider that is not there", verifier: true, edit: func(_, v map[string]any) {
			v["verificationCertStores"] = map[string]any{"ca": map[string]any{"certs": []any{"nobody"}}}
		}}, "there is no key management provider"},
		{way{name: "verifier plugin, a version of the protocol that nobody knows", verifier: true, edit: func(_, v map[string]any) {
			v["version"] = "9.0.0"
		}}, "9.0.0"},
	} {
		config, err := e.config(m.way, e.plugins)
		if err != nil {
			return err
		}
		got, err := e.verify(ctx, m.way, config, signed.reference)
		if err == nil && (got.admitted || !strings.Contains(got.reports, m.says)) {
			err = fmt.Errorf("admitted=%t, and the report does not say %q: %s", got.admitted, m.says, got.reports)
		}
		e.report.Check(m.way.name+": nothing is admitted", err)
	}
	return nil
}

// dynamic publishes the plugins, and has Ratify download them.
func (e *environment) dynamic(ctx context.Context) error {
	user, password := e.world.Cloud.OwnerPassword(scenario.Demo.ID)
	login, err := json.Marshal(map[string]any{"auths": map[string]any{scenario.Demo.Host: map[string]any{"username": user, "password": password}}})
	if err != nil {
		return err
	}
	docker := filepath.Join(e.dir, "docker")
	if err := errors.Join(os.Mkdir(docker, 0o700), os.WriteFile(filepath.Join(docker, "config.json"), login, 0o600)); err != nil {
		return err
	}
	sources := map[string]any{}
	for _, name := range []string{"alibabacloudacr", "alibabacloudnotation"} {
		cmd := exec.CommandContext(ctx, e.publish, scenario.Demo.Host+"/plugins/"+name+":v1", filepath.Join(e.plugins, name))
		cmd.Env = append(e.world.Cloud.PodEnv(), "DOCKER_CONFIG="+docker, "PATH="+os.Getenv("PATH"))
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		e.report.Check("publish "+name, err)
		sources[name] = map[string]any{"artifact": strings.TrimSpace(string(out)),
			"authProvider": map[string]any{"name": "alibabacloudAcrBasic", "defaultInstanceId": scenario.Demo.ID}}
	}
	empty := filepath.Join(e.dir, "downloaded")
	if err := os.Mkdir(empty, 0o700); err != nil {
		return err
	}
	w := way{name: "both plugins, downloaded", store: true, verifier: true, edit: func(store, verifier map[string]any) {
		store["source"], verifier["source"] = sources["alibabacloudacr"], sources["alibabacloudnotation"]
	}}
	config, err := e.config(w, empty)
	if err != nil {
		return err
	}
	for _, name := range []string{"demo, signed, chain, COSE", "demo, tampered signature"} {
		i := e.world.find(name)
		e.report.Check(fmt.Sprintf("%s: %s is %s", w.name, name, words(i.admitted)), e.expect(ctx, w, config, i.reference, i.admitted))
	}
	return nil
}

func words(admitted bool) string {
	if admitted {
		return "admitted"
	}
	return "not admitted"
}
