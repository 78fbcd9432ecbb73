package doctor

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/programs"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The doctor is a program in these tests, as SSL_CERT_FILE and HTTPS_PROXY are read once by each. Its arguments are a key and pairs of --plugin-config.
var all = programs.Programs{"doctor": func() {
	config := make(map[string]string)
	for _, pair := range os.Args[2:] {
		key, value, _ := strings.Cut(pair, "=")
		config[key] = value
	}
	if err := Run(context.Background(), os.Stdout, os.Args[1], config); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}}

func TestMain(m *testing.M) { all.Main(m) }

const (
	instance = "kst-hzz0000000000001"
	host     = instance + ".cryptoservice.kms.aliyuncs.com"
	shared   = "kms.cn-hangzhou.aliyuncs.com"
	sts      = "sts.cn-hangzhou.aliyuncs.com"
	keyID    = "key-hzz0000000000001"
	otherID  = "key-hzz0000000000002"
)

// clinic is a cloud with a dedicated instance of KMS that has two EC keys, and a directory for the files of one who signs.
type clinic struct {
	cloud    *emulator.Cloud
	program  string
	dir      string
	password string
	key      crypto.Signer // keyID
	other    crypto.Signer // otherID
}

func newClinic(t *testing.T, o emulator.Options) *clinic {
	t.Helper()
	cloud := emulatortest.Start(t, o)
	c := &clinic{cloud: cloud, program: filepath.Join(all.Folder(t), "doctor"), dir: t.TempDir(), key: newKey(t), other: newKey(t)}
	if err := cloud.AddKMSInstance(instance, ""); err != nil {
		t.Fatal(err)
	}
	for id, key := range map[string]crypto.Signer{keyID: c.key, otherID: c.other} {
		c.add(t, kms.KeyOptions{ID: id, Spec: "EC_P256", Instance: instance, Material: key})
	}
	file, password, err := cloud.KMS().AddClientKey(instance)
	if err != nil {
		t.Fatal(err)
	}
	c.password = password
	c.write(t, "clientKey.json", file)
	c.write(t, "PrivateKmsCA.pem", cloud.KMSInstanceCA(instance))
	return c
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (c *clinic) add(t *testing.T, o kms.KeyOptions) {
	t.Helper()
	if _, err := c.cloud.KMS().AddKey(o); err != nil {
		t.Fatal(err)
	}
}

func (c *clinic) write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// certify puts a self-signed certificate for a key into the directory.
func (c *clinic) certify(t *testing.T, key crypto.Signer, validity time.Duration, made time.Time) {
	t.Helper()
	cert, err := certificate.Create(key, certificate.Options{Subject: certificate.DefaultSubject(), Validity: validity, Now: made})
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, certificate.FileName, certificate.Chain{Certificates: []*x509.Certificate{cert}}.Encode())
}

// issue writes chain.pem, a certificate that an authority issued for keyID, and incomplete.pem, which lacks the authority's own.
func (c *clinic) issue(t *testing.T) {
	t.Helper()
	root, err := signing.Root("root")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := root.Issue("signer", signing.Options{Signer: c.key})
	if err != nil {
		t.Fatal(err)
	}
	alone := certificate.Chain{Certificates: []*x509.Certificate{leaf.Certificate()}}.Encode()
	c.write(t, "incomplete.pem", alone)
	c.write(t, "chain.pem", append(alone, root.PEM()...))
}

// clientKeyEnv is the environment of one who signs with a client key; changes are entries that replace its own, or remove them if they are empty.
func (c *clinic) clientKeyEnv(changes ...string) []string {
	return append([]string{
		"HTTPS_PROXY=" + c.cloud.ProxyURL(),
		"SSL_CERT_FILE=" + c.cloud.CAFile(),
		"ALIBABA_CLOUD_ECS_METADATA_DISABLED=true",
		"ALIBABA_CLOUD_KMS_INSTANCE_ENDPOINT=" + host,
		"ALIBABA_CLOUD_KMS_CLIENTKEY_FILEPATH=clientKey.json",
		"ALIBABA_CLOUD_KMS_PASSWORD=" + c.password,
		"ALIBABA_CLOUD_KMS_CA_FILEPATH=PrivateKmsCA.pem",
	}, changes...)
}

// visit runs the doctor and returns what it printed, without what differs each time.
func (c *clinic) visit(t *testing.T, env []string, args ...string) (report string, code int) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), c.program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.dir, append(env, "HOME="+c.dir, "GORACE="+os.Getenv("GORACE")), &out, &out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{c.password} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the report has a secret in it:\n%s", out.String())
		}
	}
	report = strings.ReplaceAll(out.String(), c.dir, "<home>")
	for pattern, same := range changing {
		report = regexp.MustCompile(pattern).ReplaceAllString(report, same)
	}
	return report, code
}

// changing is what differs each time, and what tests have instead.
var changing = map[string]string{
	`\d+ days left`:                            "<n> days left",
	`KAAP\.[0-9a-f-]+`:                         "KAAP.…",
	`serial number [0-9a-f]+`:                  "serial number …",
	`RequestId [0-9A-Za-z-]+`:                  "RequestId …",
	`version [0-9a-z]{26}`:                     "version …",
	`off by \S+:`:                              "off by <duration>:",
	`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ`:         "<time>",
	`127\.0\.0\.1:\d{4,}(->127\.0\.0\.1:\d+)?`: "127.0.0.1:<port>",
	`acs:ram::\d+:`:                            "acs:ram::<account>:",
}

func (c *clinic) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
