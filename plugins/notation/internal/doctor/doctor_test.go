package doctor

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/certificate"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/golden"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

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
			golden.Compare(t, name, report)
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
	golden.Compare(t, "key_version", report)
}

// A client key whose end is near is warned of. (That KMS lives years ago here is how it becomes old.)
func TestClientKeyEndsSoon(t *testing.T) {
	c := newClinic(t, emulator.Options{Now: func() time.Time { return time.Now().Add(10*24*time.Hour - 5*year) }})
	c.certify(t, c.key, year, time.Now().Add(-noon))
	report, code := c.visit(t, c.clientKeyEnv(), keyID)
	if code != 1 {
		t.Errorf("exit code %d", code)
	}
	golden.Compare(t, "client_key_ends_soon", report)
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
			golden.Compare(t, name, report)
		})
	}
}
