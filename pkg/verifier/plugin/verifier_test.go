package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/verifier"
	"github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/executable"
)

// TestProtocol pins what a program sees.
func TestProtocol(t *testing.T) {
	t.Setenv("TEST_OTHER", "kept")
	t.Setenv("RATIFY_VERIFIER_COMMAND", "overridden")
	v := newVerifier(t, config.VerifierConfig{"name": "repeats", "own": map[string]any{"parameter": 1}}, Options{})
	result, err := v.Verify(t.Context(), subject, referrer, store())
	if err != nil || !result.IsSuccess || result.Name != "repeats" || result.VerifierType != "repeats" {
		t.Fatalf("Verify() = %+v, %v", result, err)
	}
	want := map[string]any{
		"command": "VERIFY", "subject": subject.Original, "version": "1.0.0", "other": "kept",
		"stdin": `{"config":{"name":"repeats","own":{"parameter":1}},` +
			`"storeConfig":{"version":"1.0.0","pluginBinDirs":null,"store":{"name":"oras"}},` +
			`"referenceDesc":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + digest.FromString("sbom").String() + `",` +
			`"size":4,"annotations":{"a":"b"},"artifactType":"application/spdx+json"}}`,
	}
	if !reflect.DeepEqual(result.Extensions, want) {
		t.Errorf("the program was given\n%v\nwant\n%v", result.Extensions, want)
	}
}

func TestResults(t *testing.T) {
	v := newVerifier(t, config.VerifierConfig{"name": "n", "type": "prints"}, Options{})
	for name, tt := range map[string]struct {
		stdout, stderr string
		want           verifier.VerifierResult
	}{
		"version 1": {`{"isSuccess":true,"message":"good","name":"n","type":"prints","extensions":{"a":1}}`, "", verifier.VerifierResult{
			IsSuccess: true, Message: "good", Name: "n", VerifierName: "n", Type: "prints", VerifierType: "prints", Extensions: map[string]any{"a": 1.0}}},
		"version 2": {`{"isSuccess":false,"message":"bad","errorReason":"why","remediation":"do","name":"x","verifierName":"x","type":"y","verifierType":"y"}`,
			"", verifier.VerifierResult{Message: "bad", ErrorReason: "why", Remediation: "do", Name: "x", VerifierName: "x", Type: "y", VerifierType: "y"}},
		"bare": {"", `INFO: starting` + "\n" + `{"IsSuccess":true}`, verifier.VerifierResult{
			IsSuccess: true, Name: "n", VerifierName: "n", Type: "prints", VerifierType: "prints"}},
		"a success that speaks of failures": {`{"isSuccess":true,"message":"no Failed to fetch blob for subject"}`, "", verifier.VerifierResult{
			IsSuccess: true, Message: "no Failed to fetch blob for subject", Name: "n", VerifierName: "n", Type: "prints", VerifierType: "prints"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TEST_STDOUT", tt.stdout)
			t.Setenv("TEST_STDERR", tt.stderr)
			got, err := v.Verify(t.Context(), subject, referrer, store())
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Verify() = %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestUndetermined(t *testing.T) {
	v := newVerifier(t, config.VerifierConfig{"name": "n", "type": "prints"}, Options{})
	for name, tt := range map[string]struct {
		stdout, exit string
		is           error
		says         string
	}{
		"nothing":          {"", "", executable.ErrNoReply, "no JSON object"},
		"two results":      {`{"isSuccess":true}` + "\n" + `{"isSuccess":true}`, "", executable.ErrNoReply, "2 JSON objects"},
		"no isSuccess":     {`{"message":"fine"}`, "", ErrNoResult, `isSuccess is there 0 times`},
		"isSuccess twice":  {`{"isSuccess":false,"issuccess":true}`, "", ErrNoResult, "isSuccess is there 2 times"},
		"isSuccess null":   {`{"isSuccess":null}`, "", ErrNoResult, "isSuccess is null"},
		"isSuccess a text": {`{"isSuccess":"true"}`, "", ErrNoResult, `isSuccess is "true"`},
		"message a number": {`{"isSuccess":true,"message":1}`, "", ErrNoResult, "message"},
		"success, and then a failure": {`{"isSuccess":true}`, "1", nil,
			`exit status 1; it said: {"isSuccess":true}`},
		"failed read": {`{"isSuccess":false,"message":"Failed to fetch blob for subject: x","errorReason":"context deadline exceeded"}`, "", nil,
			"could not read what it needs: Failed to fetch blob"},
		"failed request": {`{"isSuccess":false,"message":"schema","errorReason":"Get \"https://s.example/?sig=s3cret\": EOF"}`, "", nil,
			`Get "https://s.example/": EOF`},
		"code of Ratify's store": {`{"isSuccess":false,"message":"REPOSITORY_OPERATION_FAILURE: x"}`, "", nil, "could not read what it needs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TEST_STDOUT", tt.stdout)
			t.Setenv("TEST_EXIT", tt.exit)
			got, err := v.Verify(t.Context(), subject, referrer, store())
			if err == nil || got.IsSuccess || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("Verify() = %+v, %v; want an error that says %q", got, err, tt.says)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%v shows a signature", err)
			}
			if exit, ok := errors.AsType[*exec.ExitError](err); tt.exit != "" && (!ok || exit.ExitCode() != 1) {
				t.Errorf("error %v has no exit code 1", err)
			}
		})
	}
}

// TestKit runs a program made with Ratify's kit, whose store does or does not reach the registry.
func TestKit(t *testing.T) {
	for name, fail := range map[string]string{"result": "", "error": "error", "text": "text"} {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, config.VerifierConfig{"name": "kit", "fail": fail}, Options{})
			s := store()
			if got, err := v.Verify(t.Context(), subject, referrer, s); err != nil || !got.IsSuccess || got.Message != "fine" {
				t.Errorf("Verify() = %+v, %v", got, err)
			}
			s.config.Store["down"] = true // for the program; this store still answers
			if got, err := v.Verify(t.Context(), subject, referrer, s); err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("with the registry down: Verify() = %+v, %v; want an error", got, err)
			}
		})
	}
}

// TestManifestIsReadFirst shows what becomes of manifests that cannot be read, or are bad, whatever the program would say.
func TestManifestIsReadFirst(t *testing.T) {
	t.Setenv("TEST_STDOUT", `{"isSuccess":true}`)
	v := newVerifier(t, config.VerifierConfig{"name": "prints"}, Options{})
	outage := errors.New("the registry is down")
	s := store()
	s.err = outage
	if got, err := v.Verify(t.Context(), subject, referrer, s); !errors.Is(err, outage) || got.IsSuccess {
		t.Errorf("Verify() = %+v, %v; want an error", got, err)
	}
	huge, negative := store(), store()
	huge.manifest.Blobs = []ocispec.Descriptor{{Size: maxBlobs}, {Size: 1}}
	negative.manifest.Blobs = []ocispec.Descriptor{{Size: -1}}
	malformed := store()
	malformed.err = fmt.Errorf("%w: no JSON", artifact.ErrMalformed)
	for want, s := range map[string]*fakeStore{"malformed artifact: no JSON": malformed, "more than 67108864 bytes": huge, "its blobs": negative} {
		got, err := v.Verify(t.Context(), subject, referrer, s)
		if err != nil || got.IsSuccess || !strings.Contains(got.ErrorReason, want) || got.Name != "prints" || got.Remediation == "" {
			t.Errorf("Verify() = %+v, %v; want a refusal that says %q", got, err, want)
		}
	}
	s = store()
	s.config = nil
	if _, err := v.Verify(t.Context(), subject, referrer, s); err == nil || !strings.Contains(err.Error(), "no configuration") {
		t.Errorf("error %v", err)
	}
}

func TestLogOfProgram(t *testing.T) {
	t.Setenv("TEST_STDOUT", `{"isSuccess":true}`)
	t.Setenv("TEST_STDERR", "WARN: the SBOM is old\n")
	var out bytes.Buffer
	v := newVerifier(t, config.VerifierConfig{"name": "prints"}, Options{Log: slog.New(slog.NewTextHandler(&out, nil))})
	if _, err := v.Verify(t.Context(), subject, referrer, store()); err != nil || !strings.Contains(out.String(), `level=WARN msg="the SBOM is old" plugin=prints`) {
		t.Errorf("error %v, log %s", err, &out)
	}
}

func FuzzParseResult(f *testing.F) {
	f.Add([]byte(`{"isSuccess":true,"message":"good"}`))
	f.Add([]byte(`{"isSuccess":false,"isSuccess":true}`))
	f.Add([]byte(`{"isSuccess":false,"errorReason":"Get \"https://a\": EOF"}`))
	f.Fuzz(func(t *testing.T, reply []byte) {
		if r, err := parseResult(reply); err != nil && r.IsSuccess {
			t.Errorf("success with error %v", err)
		}
	})
}
