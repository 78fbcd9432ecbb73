package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	_ "github.com/notaryproject/notation-core-go/signature/cose"
	_ "github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/dir"
	"github.com/notaryproject/notation-go/plugin"
	"github.com/notaryproject/notation-go/plugin/proto"
	"github.com/notaryproject/notation-go/signer"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	framework "github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func TestNotationSigns(t *testing.T) {
	root := must(signing.Root("root"))
	intermediate := must(root.Intermediate("intermediate"))
	for way, prepare := range map[string]func(*testing.T, *emulator.Cloud) map[string]string{
		"the official plugin's environment": func(t *testing.T, cloud *emulator.Cloud) map[string]string {
			official(t, cloud)
			return nil
		},
		"access key at the shared gateway": func(t *testing.T, cloud *emulator.Cloud) map[string]string {
			accessKey(t, cloud)
			return map[string]string{"region": "cn-hangzhou", "network": "vpc"}
		},
		"access key at the instance": func(t *testing.T, cloud *emulator.Cloud) map[string]string {
			official(t, cloud)
			return map[string]string{"credential_type": "access_key"}
		},
		"RRSA": func(t *testing.T, cloud *emulator.Cloud) map[string]string {
			for _, pair := range cloud.PodEnv() {
				key, value, _ := strings.Cut(pair, "=")
				t.Setenv(key, value)
			}
			return map[string]string{"credential_type": "oidc_role_arn"}
		},
	} {
		t.Run(way, func(t *testing.T) {
			cloud := startCloud(t)
			config := prepare(t, cloud)
			p := install(t)
			for _, spec := range []string{"RSA_2048", "EC_P256"} {
				id, folder := addKey(t, cloud, spec), t.TempDir()
				own := maps.Clone(config)
				if own == nil {
					own = make(map[string]string)
				}
				own["output_cert_dir"] = folder
				first := sign(t, p, id, "application/jose+json", own)
				cloud.ResetCalls()
				again := sign(t, p, id, "application/cose", own)
				signed := func(call string) bool { return strings.HasSuffix(call, "Sign") } // Sign, or AsymmetricSign
				if calls := callsOfKMS(cloud); len(calls) != 2 || !slices.ContainsFunc(calls, signed) || signed(calls[0]) && signed(calls[1]) {
					t.Errorf("%s: calls %q, want one look-up and one signature", spec, calls)
				}
				if len(first) != 1 || !first[0].Equal(again[0]) {
					t.Errorf("%s: %d certificates, and others the next time", spec, len(first))
				}
				if _, err := os.Stat(filepath.Join(folder, "signer.crt")); err != nil {
					t.Error(err)
				}

				leaf := must(intermediate.Issue("release", signing.Options{Signer: holder{cloud.KMS().PublicKey(id, "")}}))
				path := filepath.Join(folder, "chain.pem")
				if err := os.WriteFile(path, []byte(leaf.ChainPEM()), 0o600); err != nil {
					t.Fatal(err)
				}
				own["ca_certs"] = path
				if chain := sign(t, p, id, "application/cose", own); len(chain) != 3 || !chain[2].Equal(root.Certificate()) {
					t.Errorf("%s: ca_certs: %d certificates", spec, len(chain))
				}
			}
		})
	}
}

func TestMetadataNeedsNothing(t *testing.T) {
	clearenv(t)
	// Whatever the environment says is wrong, and there is nobody to ask.
	t.Setenv("ALIBABA_CLOUD_KMS_CLIENTKEY_FILEPATH", "/absent/clientkey")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	p := install(t)
	resp, err := p.GetMetadata(t.Context(), &framework.GetMetadataRequest{PluginConfig: map[string]string{"unknown": "key"}})
	if err != nil || resp.Name != name || resp.Version != "0.0.0-dev" || len(resp.Capabilities) != 1 || !resp.HasCapability(framework.CapabilitySignatureGenerator) {
		t.Errorf("%+v, %v", resp, err)
	}
}

func TestInstallation(t *testing.T) {
	clearenv(t)
	manager := plugin.NewCLIManager(dir.NewSysFS(t.TempDir()))
	path := filepath.Join(executables.Folder(t), binary)
	_, installed, err := manager.Install(t.Context(), plugin.CLIInstallOptions{PluginPath: path})
	if err != nil || installed.Name != name {
		t.Fatalf("%+v, %v", installed, err)
	}
	_, _, err = manager.Install(t.Context(), plugin.CLIInstallOptions{PluginPath: path})
	if _, ok := errors.AsType[plugin.InstallEqualVersionError](err); !ok {
		t.Errorf("the second time: %v; the version must be one that notation can compare", err)
	}
	if names, err := manager.List(t.Context()); err != nil || len(names) != 1 || names[0] != name {
		t.Errorf("%v, %v", names, err)
	}
}

func TestErrorsReachNotation(t *testing.T) {
	cloud := startCloud(t)
	official(t, cloud)
	p := install(t)
	large := addKey(t, cloud, "RSA_3072")
	small := addKey(t, cloud, "EC_P256")
	for what, tt := range map[string]struct {
		env    map[string]string
		id     string
		config map[string]string
		code   string
		want   string
	}{
		"RSA_3072":       {nil, large, nil, "VALIDATION_ERROR", "use a key of spec RSA_2048 or EC_P256"},
		"absent key":     {nil, "key-absent", nil, "VALIDATION_ERROR", "KeyNotFound"},
		"misspelt":       {nil, small, map[string]string{"ca_cert": "x"}, "VALIDATION_ERROR", "did you mean ca_certs?"},
		"password":       {map[string]string{"ALIBABA_CLOUD_KMS_PASSWORD": "hush"}, small, nil, "VALIDATION_ERROR", "ALIBABA_CLOUD_KMS_PASSWORD"},
		"client key":     {map[string]string{"ALIBABA_CLOUD_KMS_CLIENTKEY_FILEPATH": "/absent"}, small, nil, "VALIDATION_ERROR", "ALIBABA_CLOUD_KMS_CLIENTKEY_FILEPATH"},
		"without its CA": {map[string]string{"ALIBABA_CLOUD_KMS_CA_FILEPATH": ""}, small, nil, "ERROR", "ALIBABA_CLOUD_KMS_CA_FILEPATH"},
		"no credentials": {map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": ""}, small, map[string]string{"credential_type": "access_key"}, "ACCESS_DENIED",
			"ALIBABA_CLOUD_ACCESS_KEY_ID"},
	} {
		t.Run(what, func(t *testing.T) {
			for key, value := range tt.env {
				t.Setenv(key, value)
			}
			_, err := p.DescribeKey(t.Context(), &framework.DescribeKeyRequest{KeyID: tt.id, PluginConfig: tt.config})
			failed, ok := errors.AsType[proto.RequestError](err)
			if !ok || string(failed.Code) != tt.code || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
				t.Errorf("got %T %v; want %s with %q", err, err, tt.code, tt.want)
			}
		})
	}
	t.Run("time-out", func(t *testing.T) {
		cloud.Endpoint(instance).SetFault(emulator.Fault{Hang: true})
		defer cloud.Endpoint(instance).SetFault(emulator.Fault{})
		_, err := p.DescribeKey(t.Context(), &framework.DescribeKeyRequest{KeyID: small, PluginConfig: map[string]string{"timeout": "1s"}})
		if failed, ok := errors.AsType[proto.RequestError](err); !ok || failed.Code != "TIMEOUT" {
			t.Errorf("got %v", err)
		}
	})
}

func TestDedicatedInstanceAlone(t *testing.T) {
	cloud := startCloud(t)
	official(t, cloud)
	p := install(t)
	id := addKey(t, cloud, "EC_P256")
	config := map[string]string{"credential_type": "access_key", "output_cert_dir": t.TempDir()}
	sign(t, p, id, "application/cose", config)
	text := string(must(os.ReadFile(filepath.Join(config["output_cert_dir"], "signer.crt"))))
	_, rest, _ := strings.Cut(text, "KMS key version: ")
	version, _, _ := strings.Cut(rest, "\n")

	cloud.Endpoint("kms.cn-hangzhou.aliyuncs.com").SetFault(emulator.Fault{Reset: true})
	_, err := p.DescribeKey(t.Context(), &framework.DescribeKeyRequest{KeyID: id, PluginConfig: map[string]string{"credential_type": "access_key", "timeout": "1s"}})
	if err == nil || !strings.Contains(err.Error(), "set plugin-config key_version") {
		t.Errorf("got %v", err)
	}
	config["key_version"] = version
	for _, folder := range []string{config["output_cert_dir"], t.TempDir()} {
		config["output_cert_dir"] = folder
		sign(t, p, id, "application/cose", config)
	}
}

func TestNoticesAreOnStderrOfSuccessOnly(t *testing.T) {
	cloud := startCloud(t)
	official(t, cloud)
	id := addKey(t, cloud, "EC_P256")
	request := func(spec string) string {
		return string(must(json.Marshal(map[string]any{"contractVersion": "1.0", "keyId": id, "keySpec": spec, "hashAlgorithm": "SHA-256", "payload": []byte("x"),
			"pluginConfig": map[string]string{"output_cert_dir": t.TempDir()}})))
	}
	stdout, stderr, err := run(t, request("EC-256"), "generate-signature")
	if err != nil || !json.Valid([]byte(stdout)) || !strings.Contains(stderr, "trust anchor") {
		t.Errorf("%v; stdout %q; stderr %q", err, stdout, stderr)
	}
	stdout, stderr, err = run(t, request("RSA-2048"), "generate-signature")
	if err == nil || stdout != "" || !json.Valid([]byte(stderr)) {
		t.Errorf("%v; stdout %q; stderr %q", err, stdout, stderr)
	}
	for _, command := range []string{"describe-key", "generate-signature", "generate-envelope", "verify-signature"} {
		if _, stderr, err := run(t, "{", command); err == nil || !strings.Contains(stderr, "VALIDATION_ERROR") {
			t.Errorf("%s: %v, %q", command, err, stderr)
		}
	}
}

func TestEnvelopesVerify(t *testing.T) { // with nothing but the public parts
	cloud := startCloud(t)
	official(t, cloud)
	p := install(t)
	s := must(signer.NewPluginSigner(p, addKey(t, cloud, "EC_P256"), map[string]string{"output_cert_dir": t.TempDir()}))
	for _, mediaType := range []string{"application/jose+json", "application/cose"} {
		raw, _, err := s.Sign(t.Context(), ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("image"), Size: 5},
			notation.SignerSignOptions{SignatureMediaType: mediaType})
		if err != nil {
			t.Fatal(err)
		}
		content, err := must(signature.ParseEnvelope(mediaType, raw)).Verify()
		if err != nil || content.SignerInfo.SignatureAlgorithm != signature.AlgorithmES256 {
			t.Errorf("%s: %v", mediaType, err)
		}
	}
}

func TestRequestsHaveALimit(t *testing.T) {
	clearenv(t)
	stdout, stderr, err := run(t, `{"contractVersion":"1.0","keyId":"`+strings.Repeat("k", maxRequest)+`"}`, "describe-key")
	if err == nil || stdout != "" || !strings.Contains(stderr, "VALIDATION_ERROR") || len(stderr) > 1000 {
		t.Errorf("%v; stdout %q; stderr of %d bytes", err, stdout, len(stderr))
	}
}

func TestInterruptEndsWaitingForTheRequest(t *testing.T) {
	clearenv(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(executables.Folder(t), binary), "describe-key")
	stdin := must(command.StdinPipe())
	defer stdin.Close()
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	// More than a pipe holds, so that it is being read, which is after signals are caught.
	if _, err := stdin.Write([]byte("{" + strings.Repeat(" ", 1<<20))); err != nil {
		t.Fatal(err)
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); ctx.Err() != nil || command.ProcessState.ExitCode() != 1 {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}

// Reading a file, such as a pipe that nobody writes to, does not end with the first interrupt. The second ends it.
func TestSecondInterruptEndsEverything(t *testing.T) {
	clearenv(t)
	dir := t.TempDir()
	public, pipe := filepath.Join(dir, "public.pem"), filepath.Join(dir, "private.pem")
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	if err := os.WriteFile(public, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key.Public()))}), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(executables.Folder(t), binary), "key", "import", "--public-key", public, "--private-key", pipe)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	defer must(os.OpenFile(pipe, os.O_WRONLY, 0)).Close() // opens once it is being read
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				t.Errorf("%v, %v", err, ctx.Err())
			}
			return
		case <-again.C:
			command.Process.Signal(os.Interrupt) // fails after the end
		}
	}
}
