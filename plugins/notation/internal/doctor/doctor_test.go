package doctor

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
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
	cloud, err := emulator.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
	})
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

// golden compares a report with testdata/name.golden, which UPDATE_GOLDEN=1 writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the report is not that of %s (UPDATE_GOLDEN=1 replaces it):\n%s\nwant\n%s", path, got, want)
	}
}

const (
	year = 365 * 24 * time.Hour
	noon = 12 * time.Hour // so that the days left do not change while a test runs
)

func TestWell(t *testing.T) {
	c := newClinic(t, emulator.Options{})
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c.add(t, kms.KeyOptions{ID: "key-rsa", Spec: "RSA_2048", Region: "cn-hangzhou", Material: rsaKey})
	access, secret := c.cloud.AddAccessKey()
	c.issue(t)
	c.certify(t, c.key, year, time.Now().Add(-noon))
	c.cloud.KMS().PutSecret("signer", string(c.read(t, certificate.FileName)))
	for name, tt := range map[string]struct {
		env  []string
		args []string
	}{
		"client_key":  {c.clientKeyEnv(), []string{keyID}},
		"without_key": {c.clientKeyEnv(), []string{""}},
		"first_time":  {c.cloud.PodEnv(), []string{"key-rsa", "output_cert_dir=" + "."}},
		"secret":      {c.clientKeyEnv(), []string{keyID, "cert_secret=signer"}},
		"ca_certs":    {c.clientKeyEnv(), []string{keyID, "ca_certs=chain.pem"}},
		"access_key":  {c.clientKeyEnv("ALIBABA_CLOUD_ACCESS_KEY_ID="+access, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+secret), []string{keyID, "credential_type=access_key"}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "first_time" {
				if err := os.Remove(filepath.Join(c.dir, certificate.FileName)); err != nil {
					t.Fatal(err)
				}
				defer c.certify(t, c.key, year, time.Now().Add(-noon))
			}
			report, code := c.visit(t, tt.env, tt.args...)
			if code != 0 || strings.Contains(report, secret) {
				t.Errorf("exit code %d, or the secret of the access key in the report", code)
			}
			golden(t, name, report)
		})
	}
}

// Certificates of earlier versions of the key, which the text before them names, and those that other keys' took the place of are used.
func TestWhatSigningFinds(t *testing.T) {
	c := newClinic(t, emulator.Options{})
	access, secret := c.cloud.AddAccessKey()
	env := c.clientKeyEnv("ALIBABA_CLOUD_ACCESS_KEY_ID="+access, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+secret)
	const apiKey = "credential_type=access_key"
	version, err := c.cloud.KMS().AddKeyVersion(keyID)
	if err != nil {
		t.Fatal(err)
	}
	root, err := signing.Root("root")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(nil, &x509.Certificate{SerialNumber: big.NewInt(1), Subject: certificate.DefaultSubject(), KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-noon), NotAfter: time.Now().Add(year)}, root.Certificate(), c.cloud.KMS().PublicKey(keyID, version), root.Key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	chain := certificate.Chain{Certificates: []*x509.Certificate{leaf, root.Certificate()}, Origin: certificate.Origin{Key: keyID, Version: version}}
	if _, err := c.cloud.KMS().AddKeyVersion(keyID); err != nil {
		t.Fatal(err)
	}
	c.write(t, certificate.FileName, chain.Encode())
	c.write(t, "chain.pem", chain.Encode())
	c.cloud.KMS().PutSecret("signer", string(chain.Encode()))
	for _, args := range [][]string{{keyID, apiKey}, {keyID, apiKey, "ca_certs=chain.pem"}, {keyID, apiKey, "cert_secret=signer"}} {
		if report, code := c.visit(t, env, args...); code != 0 || !strings.Contains(report, "belongs to the key") {
			t.Errorf("%v: exit code %d:\n%s", args, code, report)
		}
	}

	c.certify(t, c.other, year, time.Now().Add(-noon))
	c.write(t, "signer-1.crt", chain.Encode())
	report, code := c.visit(t, env, keyID, apiKey, "key_version="+version)
	if code != 0 || !strings.Contains(report, "belongs to the key") {
		t.Errorf("a certificate that was kept: exit code %d:\n%s", code, report)
	}
}

// With the version of the key, the dedicated instance is enough: the shared gateway may be out of reach.
func TestOnlyTheInstance(t *testing.T) {
	c := newClinic(t, emulator.Options{})
	version, err := c.cloud.KMS().AddKeyVersion(keyID)
	if err != nil {
		t.Fatal(err)
	}
	access, secret := c.cloud.AddAccessKey()
	env := c.clientKeyEnv("ALIBABA_CLOUD_ACCESS_KEY_ID="+access, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+secret)
	c.cloud.Endpoint(shared).SetFault(emulator.Fault{Reset: true})
	report, code := c.visit(t, env, keyID, "credential_type=access_key")
	if code != 1 || !strings.Contains(report, "FAIL  endpoint     "+shared) || !strings.Contains(report, "set plugin-config key_version") {
		t.Errorf("exit code %d:\n%s", code, report)
	}
	report, code = c.visit(t, env, keyID, "credential_type=access_key", "key_version="+version)
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	golden(t, "key_version", report)
}

// A client key whose end is near is warned of. (That KMS lives years ago here is how it becomes old.)
func TestClientKeyEndsSoon(t *testing.T) {
	c := newClinic(t, emulator.Options{Now: func() time.Time { return time.Now().Add(10*24*time.Hour - 5*year) }})
	c.certify(t, c.key, year, time.Now().Add(-noon))
	report, code := c.visit(t, c.clientKeyEnv(), keyID)
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	golden(t, "client_key_ends_soon", report)
}

func (c *clinic) read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(c.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestIll(t *testing.T) {
	c := newClinic(t, emulator.Options{})
	c.add(t, kms.KeyOptions{ID: "key-rsa3072", Spec: "RSA_3072", Instance: instance})
	c.add(t, kms.KeyOptions{ID: "key-encrypt", Spec: "RSA_2048", Usage: "ENCRYPT/DECRYPT", Region: "cn-hangzhou"})
	c.issue(t)
	now := time.Now().Add(-noon)
	well := func(t *testing.T) { c.certify(t, c.key, year, now) }
	for name, tt := range map[string]struct {
		before func(*testing.T)
		env    []string
		args   []string
	}{
		"no_environment":    {well, []string{"HTTPS_PROXY=" + c.cloud.ProxyURL(), "SSL_CERT_FILE=" + c.cloud.CAFile(), "ALIBABA_CLOUD_ECS_METADATA_DISABLED=true"}, []string{keyID}},
		"unknown_setting":   {well, c.clientKeyEnv(), []string{keyID, "output_cer_dir=/etc"}},
		"no_client_key":     {well, c.clientKeyEnv("ALIBABA_CLOUD_KMS_CLIENTKEY_FILEPATH=absent.json"), []string{keyID}},
		"wrong_password":    {well, c.clientKeyEnv("ALIBABA_CLOUD_KMS_PASSWORD=wrong"), []string{keyID}},
		"unknown_ca":        {well, c.clientKeyEnv("ALIBABA_CLOUD_KMS_CA_FILEPATH="), []string{keyID}},
		"no_ca_file":        {well, c.clientKeyEnv("ALIBABA_CLOUD_KMS_CA_FILEPATH=absent.pem"), []string{keyID}},
		"unreachable":       {well, c.clientKeyEnv("ALIBABA_CLOUD_KMS_INSTANCE_ENDPOINT=127.0.0.1:1"), []string{keyID}},
		"rsa_3072":          {well, c.clientKeyEnv(), []string{"key-rsa3072"}},
		"no_such_key":       {well, c.clientKeyEnv(), []string{"key-absent"}},
		"other_certificate": {func(t *testing.T) { c.certify(t, c.other, year, now) }, c.clientKeyEnv(), []string{keyID}},
		"expired":           {func(t *testing.T) { c.certify(t, c.key, year, now.Add(-year)) }, c.clientKeyEnv(), []string{keyID}},
		"ends_soon":         {func(t *testing.T) { c.certify(t, c.key, 20*24*time.Hour+2*noon, now) }, c.clientKeyEnv(), []string{keyID}},
		"broken":            {func(t *testing.T) { c.write(t, certificate.FileName, []byte("hello")) }, c.clientKeyEnv(), []string{keyID}},
		"future":            {func(t *testing.T) { c.certify(t, c.key, year, now.Add(48*time.Hour)) }, c.clientKeyEnv(), []string{keyID}},
		"other_subject":     {well, c.clientKeyEnv(), []string{keyID, "cert_subject=C=CN,ST=Zhejiang,O=Example"}},
		"no_describe":       {func(t *testing.T) { c.cloud.KMS().Deny("DescribeKey") }, c.cloud.PodEnv(), []string{keyID, "ca_certs=chain.pem"}},
		"no_folder":         {well, c.clientKeyEnv(), []string{keyID, "output_cert_dir=absent"}},
		"no_root":           {well, c.clientKeyEnv(), []string{keyID, "ca_certs=incomplete.pem"}},
		"other_chain":       {well, c.clientKeyEnv(), []string{otherID, "ca_certs=chain.pem"}},
		"no_secret":         {well, c.clientKeyEnv(), []string{keyID, "cert_secret=absent"}},
		"no_permission":     {func(t *testing.T) { well(t); c.cloud.KMS().Deny("DescribeKey", "AsymmetricSign") }, c.cloud.PodEnv(), []string{keyID}},
		"disabled":          {func(t *testing.T) { well(t); c.cloud.KMS().SetKeyState(keyID, "Disabled") }, c.cloud.PodEnv(), []string{keyID}},
		"usage":             {well, c.cloud.PodEnv(), []string{"key-encrypt"}},
		"role_gone": {func(t *testing.T) {
			well(t)
			c.cloud.Endpoint(sts).SetFault(emulator.Fault{Status: http.StatusNotFound,
				Body: `{"Code":"EntityNotExist.Role","Message":"The role not exists.","RequestId":"R-1"}`})
		}, c.cloud.PodEnv(), []string{keyID}},
		"clock": {func(t *testing.T) {
			well(t)
			c.cloud.Endpoint(shared).SetFault(emulator.Fault{Status: http.StatusBadRequest,
				Header: http.Header{"Date": {"Wed, 21 Oct 2015 07:28:00 GMT"}}, Body: `{"Code":"IllegalTimestamp","Message":"The timestamp has expired.","RequestId":"R-2"}`})
		}, c.cloud.PodEnv(), []string{keyID}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.before(t)
			t.Cleanup(func() {
				c.cloud.KMS().Deny()
				c.cloud.KMS().SetKeyState(keyID, "Enabled")
				c.cloud.Endpoint(shared).SetFault(emulator.Fault{})
				c.cloud.Endpoint(sts).SetFault(emulator.Fault{})
			})
			report, code := c.visit(t, tt.env, tt.args...)
			want := 1
			if slices.Contains([]string{"ends_soon", "other_certificate", "expired", "no_describe"}, name) { // signing works
				want = 0
			}
			if code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			golden(t, name, report)
		})
	}
}
