package kms

import (
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	emulated "github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

func TestRefusals(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	in := func(state string) string {
		id := w.addKey(emulated.KeyOptions{Material: rsaKey()})
		w.KMS().SetKeyState(id, state)
		return id
	}
	symmetric := w.addKey(emulated.KeyOptions{Spec: "Aliyun_AES_256"})
	for _, tc := range []struct {
		name   string
		key    string
		is     error
		code   string
		remedy string
	}{
		{"disabled", in("Disabled"), ErrUnusable, "Rejected.Disabled", "enable the key"},
		{"to be deleted", in("PendingDeletion"), ErrUnusable, "Rejected.PendingDeletion", "cancel"},
		{"without material", in("PendingImport"), ErrUnusable, "Rejected.PendingImport", "import it"},
		{"missing", "key-hzz000", ErrNotFound, "Forbidden.KeyNotFound", "check the key's ID"},
		{"a missing alias", "alias/none", ErrNotFound, "Forbidden.AliasNotFound", "alias/<name>"},
		{"symmetric", symmetric, ErrUnsupported, "UnsupportedOperation", "SIGN/VERIFY"},
	} {
		for name, client := range w.clients() {
			t.Run(tc.name+" "+name, func(t *testing.T) {
				version := ""
				if client != Client(w.clientKey) {
					version = "v" // the key is looked at first
					if list, err := w.shared.KeyVersions(t.Context(), tc.key); err == nil && len(list) > 0 {
						version = list[0].ID
					}
				}
				_, err := client.Sign(t.Context(), tc.key, version, RSAPSS, [32]byte{})
				failed, isOurs := errors.AsType[*Error](err)
				if !isOurs || !errors.Is(err, tc.is) || failed.Code != tc.code || failed.RequestID == "" || failed.StatusCode < 400 {
					t.Fatalf("%+v, want %v by code %s", err, tc.is, tc.code)
				}
				for _, want := range []string{tc.key, tc.remedy, tc.code, failed.RequestID} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("%v does not say %q", err, want)
					}
				}
				for _, other := range []error{ErrNotFound, ErrUnusable, ErrDenied, ErrUnsupported} {
					if other != tc.is && errors.Is(err, other) {
						t.Errorf("%v is %v, too", err, other)
					}
				}
			})
		}
	}
	ok := w.addKey(emulated.KeyOptions{Material: rsaKey()})
	w.KMS().Deny("AsymmetricSign", "Sign", "GetSecretValue")
	for name, client := range w.clients() {
		version := ""
		if client != Client(w.clientKey) {
			version = must(w.shared.KeyVersions(t.Context(), ok))[0].ID
		}
		_, err := client.Sign(t.Context(), ok, version, RSAPSS, [32]byte{})
		want := "needs a RAM policy that allows kms:AsymmetricSign on key " + ok
		if name == "client key" {
			want = "the permission policy of the application access point of client key KAAP."
		}
		if !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if _, err := client.Secret(t.Context(), "s", SecretVersion{}); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "secret s") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Which host is asked what.
func TestGateways(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	id := w.addKey(emulated.KeyOptions{Spec: string(ECP256), Material: ecKey()})
	w.KMS().PutSecret("s", "data")
	const vpcHost = "kms-vpc.cn-hangzhou.aliyuncs.com"
	region := Config{Region: "cn-hangzhou"}
	all := func(host string) map[string]string {
		return map[string]string{"ListKeyVersions": host, "GetPublicKey": host, "AsymmetricSign": host, "DescribeKey": host, "GetSecretValue": host}
	}
	atInstance := all(kstHost)
	atInstance["ListKeyVersions"], atInstance["DescribeKey"] = gatewayHost, gatewayHost
	for name, tc := range map[string]struct {
		cfg  Config
		env  string
		want map[string]string
	}{
		"region":              {cfg: region, want: all(gatewayHost)},
		"VPC":                 {cfg: Config{Region: "cn-hangzhou", Network: NetworkVPC}, want: all(vpcHost)},
		"VPC by environment":  {cfg: region, env: "true", want: all(vpcHost)},
		"public all the same": {cfg: Config{Region: "cn-hangzhou", Network: NetworkPublic}, env: "true", want: all(gatewayHost)},
		"endpoint":            {cfg: Config{Endpoint: "https://" + vpcHost + "/"}, want: all(vpcHost)},
		"dedicated":           {cfg: Config{Region: "cn-hangzhou", Endpoint: strings.ToUpper(kstHost), CABundle: w.KMSInstanceCA(kst)}, want: atInstance},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", tc.env)
			cfg := tc.cfg
			cfg.Identity = w.shared.cfg.Identity
			client := w.openAPI(cfg)
			w.ResetCalls()
			signer, err := NewSigner(t.Context(), client, id, "")
			if err == nil {
				_, err = signer.SignContext(t.Context(), make([]byte, 32), crypto.SHA256)
			}
			if err == nil {
				_, err = client.DescribeKey(t.Context(), id)
			}
			if err == nil {
				_, err = client.Secret(t.Context(), "s", SecretVersion{})
			}
			if err != nil {
				t.Fatal(err)
			}
			calls := w.Calls()
			for action, host := range tc.want {
				if calls[host+" "+action] != 1 {
					t.Errorf("%s: not called once at %s: %v", action, host, calls)
				}
			}
		})
	}
	// Without a region, a dedicated instance is asked what it answers; the rest is not guessed.
	client := w.openAPI(Config{Endpoint: kstHost, CABundle: w.KMSInstanceCA(kst)})
	version := must(w.shared.KeyVersions(t.Context(), id))[0].ID
	if _, err := client.Sign(t.Context(), id, version, ECDSA, [32]byte{}); err != nil {
		t.Error(err)
	}
	for _, ask := range []func() error{
		func() error { _, err := client.Sign(t.Context(), id, "", ECDSA, [32]byte{}); return err },
		func() error { _, err := client.DescribeKey(t.Context(), id); return err },
	} {
		if err := ask(); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "set the region") {
			t.Errorf("got %v", err)
		}
	}
}

func TestEndedSession(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	id := w.addKey(emulated.KeyOptions{Material: ecKey(), Spec: string(ECP256)})
	for range 2 {
		if _, err := w.shared.DescribeKey(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		w.RevokeSessions()
	}
	// An access key that never was one.
	client := w.openAPI(Config{Region: "cn-hangzhou", Identity: static{}})
	if _, err := client.DescribeKey(t.Context(), id); !errors.Is(err, ErrDenied) || strings.Contains(err.Error(), "hush") {
		t.Errorf("an unknown access key: %v", err)
	}
	w.Endpoint("sts.cn-hangzhou.aliyuncs.com").SetFault(emulator.Fault{Status: http.StatusInternalServerError})
	w.RevokeSessions()
	_, err := w.openAPI(Config{Region: "cn-hangzhou"}).DescribeKey(t.Context(), id)
	if _, ofSTS := errors.AsType[*rrsa.Error](err); !ofSTS {
		t.Errorf("without STS: %v", err)
	}
}

// static is an access key.
type static struct{}

func (static) Credential(context.Context) (rrsa.Credential, error) {
	return rrsa.Credential{AccessKeyID: "nobody", AccessKeySecret: "hush"}, nil
}
func (static) Forget(rrsa.Credential) {}
func (static) String() string         { return "access key nobody" }

func TestConcurrentUse(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	id := w.addKey(emulated.KeyOptions{Spec: string(ECP256), Material: ecKey()})
	var wg sync.WaitGroup
	for _, client := range w.clients() {
		signer := must(NewSigner(t.Context(), client, id, ""))
		for range 10 {
			wg.Go(func() {
				if _, err := signer.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
}
