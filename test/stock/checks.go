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
			e.report.check(name, e.expect(ctx, w, config, i.reference, w.admits(i)))
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
			e.report.check(fmt.Sprintf("serve, %s: %s is %s", w.name, i.name, words(w.admits(i))), err)
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
			e.report.check(fmt.Sprintf("%s while %s fails: the image is %s", w.name, host, words(admitted)), e.expect(ctx, w, config, signed.reference, admitted))
			service.SetFault(emulator.Fault{})
			e.report.check(fmt.Sprintf("%s when %s is back: the image is admitted", w.name, host), e.expect(ctx, w, config, signed.reference, true))
		}
	}
	return nil
}

// cached is the way with passwords in memory between runs.
func (e *environment) cached(w way) (cached way, remove func(), err error) {
	folder, err := os.MkdirTemp("/dev/shm", "ratify-stock-")
	return w.with("tokenCache", "tokenCache", folder), func() { _ = os.RemoveAll(folder) }, err
}

// cache counts the calls for passwords with and without a tokenCache.
func (e *environment) cache(ctx context.Context) error {
	w, remove, err := e.cached(both)
	if err != nil {
		return err
	}
	defer remove()
	config, err := e.config(w, e.plugins)
	if err != nil {
		return err
	}
	signed := e.world.find("demo, signed, chain, JWS")
	for _, run := range []struct {
		name  string
		calls int
	}{{"the first image costs one call to STS and one for the password", 2}, {"the next one none", 0}} {
		e.world.Cloud.ResetCalls()
		err := e.expect(ctx, w, config, signed.reference, true)
		if n := credentialCalls(e.world.Cloud); err == nil && n != run.calls {
			err = fmt.Errorf("%d calls, want %d: %v", n, run.calls, e.world.Cloud.Calls())
		}
		e.report.check(w.name+": "+run.name, err)
	}
	e.world.Cloud.RevokePasswords()
	e.report.check(w.name+": a password that was just fetched and is refused stays: the image is not admitted", e.expect(ctx, w, config, signed.reference, false))
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
		e.report.check(m.way.name+": nothing is admitted", err)
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
		e.report.check("publish "+name, err)
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
		e.report.check(fmt.Sprintf("%s: %s is %s", w.name, name, words(i.admitted)), e.expect(ctx, w, config, i.reference, i.admitted))
	}
	return nil
}

func words(admitted bool) string {
	if admitted {
		return "admitted"
	}
	return "not admitted"
}
