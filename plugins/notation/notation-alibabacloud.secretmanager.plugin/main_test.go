package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
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
	emulated "github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/programs"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

const (
	binary   = "notation-alibabacloud.secretmanager.plugin"
	name     = "alibabacloud.secretmanager.plugin"
	kstID    = "kst-hzz0123456789"
	instance = kstID + ".cryptoservice.kms.aliyuncs.com"
)

var executables = programs.Programs{binary: main}

func TestMain(m *testing.M) { executables.Main(m) }

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// install returns the plugin as notation finds it.
func install(t *testing.T) framework.Plugin {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(executables.Folder(t), binary), filepath.Join(root, name, binary)); err != nil {
		t.Fatal(err)
	}
	p, err := plugin.NewCLIManager(dir.NewSysFS(root)).Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// clearenv takes everything out of the environment that the plugin goes by.
func clearenv(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		key, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(key, "ALIBABA") || strings.HasPrefix(key, "ALICLOUD") || strings.HasSuffix(strings.ToUpper(key), "_PROXY") {
			t.Setenv(key, "")
			os.Unsetenv(key)
		}
	}
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	t.Setenv("HOME", t.TempDir())
}

// startCloud starts a cloud that is reached as the real one is, by its names.
func startCloud(t *testing.T) *emulator.Cloud {
	t.Helper()
	clearenv(t)
	cloud, err := emulator.Start(emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := cloud.AddKMSInstance(kstID, ""); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HTTPS_PROXY", cloud.ProxyURL())
	t.Setenv("SSL_CERT_FILE", cloud.CAFile())
	return cloud
}

// official sets the environment that Alibaba Cloud documents for its own plugin, all of it and nothing else.
func official(t *testing.T, cloud *emulator.Cloud) {
	t.Helper()
	folder := t.TempDir()
	key, password, err := cloud.KMS().AddClientKey(kstID)
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{"clientkey": key, "privatekmsca": cloud.KMSInstanceCA(kstID)} {
		if err := os.WriteFile(filepath.Join(folder, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	accessKey(t, cloud)
	t.Setenv("ALIBABA_CLOUD_KMS_INSTANCE_ENDPOINT", instance)
	t.Setenv("ALIBABA_CLOUD_KMS_CLIENTKEY_FILEPATH", filepath.Join(folder, "clientkey"))
	t.Setenv("ALIBABA_CLOUD_KMS_PASSWORD", password)
	t.Setenv("ALIBABA_CLOUD_KMS_CA_FILEPATH", filepath.Join(folder, "privatekmsca"))
}

func accessKey(t *testing.T, cloud *emulator.Cloud) {
	t.Helper()
	id, secret := cloud.AddAccessKey()
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", id)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret)
}

func addKey(t *testing.T, cloud *emulator.Cloud, spec string) string {
	t.Helper()
	o := emulated.KeyOptions{Spec: spec, Instance: kstID}
	if spec == "RSA_2048" {
		o.Material = rsaKey()
	}
	id, err := cloud.KMS().AddKey(o)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// sign has notation sign with the plugin, in a kind of envelope, and returns the chain in it. notation verifies the envelope.
func sign(t *testing.T, p framework.Plugin, keyID, mediaType string, config map[string]string) []*x509.Certificate {
	t.Helper()
	s, err := signer.NewPluginSigner(p, keyID, config)
	if err != nil {
		t.Fatal(err)
	}
	subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("image"), Size: 5}
	_, info, err := s.Sign(t.Context(), subject, notation.SignerSignOptions{SignatureMediaType: mediaType})
	if err != nil {
		t.Fatalf("notation sign --id %s: %v", keyID, err)
	}
	return info.CertificateChain
}

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
				again := sign(t, p, id, "application/cose", own)
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

// holder is a signer that only has the public half: the authority needs no more to issue a certificate for a key.
type holder struct{ key crypto.PublicKey }

func (h holder) Public() crypto.PublicKey { return h.key }

func (holder) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the private half is in KMS")
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

// run starts the executable itself.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(executables.Folder(t), binary), args...)
	var out, errs bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &out, &errs
	err = command.Run()
	return out.String(), errs.String(), err
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
