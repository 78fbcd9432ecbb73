package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/dir"
	"github.com/notaryproject/notation-go/plugin"
	"github.com/notaryproject/notation-go/signer"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	framework "github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
	emulated "github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/programs"
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
	cloud := emulatortest.Start(t, emulator.Options{})
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

// holder is a signer that only has the public half: the authority needs no more to issue a certificate for a key.
type holder struct{ key crypto.PublicKey }

func (h holder) Public() crypto.PublicKey { return h.key }

func (holder) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the private half is in KMS")
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

// callsOfKMS lists the calls of KMS, each as often as it was made.
func callsOfKMS(cloud *emulator.Cloud) (calls []string) {
	for call, n := range cloud.Calls() {
		if host, _, _ := strings.Cut(call, " "); strings.Contains(host, "kms") {
			calls = append(calls, slices.Repeat([]string{call}, n)...)
		}
	}
	return calls
}
