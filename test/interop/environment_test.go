package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newEnvironment returns an environment with a script in place of ratify.
func newEnvironment(t *testing.T, script string) *environment {
	t.Helper()
	cloud := emulatortest.Start(t, emulator.Options{})
	world, err := scenario.New(cloud)
	if err != nil {
		t.Fatal(err)
	}
	e := &environment{world: world, dir: t.TempDir()}
	e.ratify = filepath.Join(e.dir, "ratify")
	if err := os.WriteFile(e.ratify, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestVerify(t *testing.T) {
	for _, tt := range []struct{ name, script, outcome, fails string }{
		{"admitted", `echo '{"outcome":"verified"}'`, "verified", ""},
		{"refused", `echo '{"outcome":"refused"}'; exit 1`, "refused", ""},
		{"undetermined", `echo '{"outcome":"undetermined"}'; exit 2`, "undetermined", ""},
		{"exit code of another", `echo '{"outcome":"refused"}'`, "", `says "refused" and ends with exit code 0`},
		{"unknown outcome", `echo '{"outcome":"perhaps"}'`, "", `says "perhaps"`},
		{"no verdict", `echo 'bad config' >&2; exit 2`, "", "gave no verdict: exit code 2\nbad config"},
		{"what it is told", `test "$1 $2 $4 $5 $6 $7" = "verify -c -s host/app -o json" && test -n "$HTTPS_PROXY" && test "$HOME$MORE" = "${0%/*}x" &&
			grep -q anything "$3" && echo '{"outcome":"verified"}'`, "verified", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newEnvironment(t, tt.script)
			e.env = []string{"MORE=x"}
			v, err := e.verify(t.Context(), []byte("anything"), "host/app")
			if tt.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fails) {
					t.Fatalf("error %v, want one that says %q", err, tt.fails)
				}
				return
			}
			if err != nil || v.outcome != tt.outcome {
				t.Fatalf("%+v, error %v, want %s", v, err, tt.outcome)
			}
		})
	}
	t.Run("missing binary", func(t *testing.T) {
		e := newEnvironment(t, "")
		e.ratify = "/nowhere/ratify"
		if _, err := e.verify(t.Context(), nil, "host/app"); err == nil || !strings.Contains(err.Error(), "/nowhere/ratify") {
			t.Fatalf("error %v", err)
		}
	})
}

// The seed's manifests become the configuration of the documents.
func TestFromManifests(t *testing.T) {
	e := newEnvironment(t, "")
	got, err := e.fromManifests(strings.Replace(alibabaManifests, alibabaPlaceholder, indent("A\nB\n", "      "), 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"defaultInstanceId": "cri-ccccccccc"`, `"instanceName": "name2"`, `"value": "A\nB\n"`, `"type": "inline"`,
		`"name": "ratify-notation-inline-cert"`, `"name": "notation"`, `"artifactTypes": "application/vnd.cncf.notary.signature"`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	for _, bad := range []string{"kind: Certificate", "{"} {
		if _, err := e.fromManifests(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
