package kms

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/identity"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	emulated "github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	kst         = "kst-hzz0123456789"
	kstHost     = kst + ".cryptoservice.kms.aliyuncs.com"
	gatewayHost = "kms.cn-hangzhou.aliyuncs.com"
)

// Keys are made once: RSA keys take long.
var (
	rsaKey = sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey  = sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

// world is a cloud with a dedicated instance, and the three ways to it.
type world struct {
	*emulator.Cloud
	t         *testing.T
	shared    *OpenAPI   // at the region's gateway
	dedicated *OpenAPI   // at the instance
	clientKey *ClientKey // at the instance
}

func newWorld(t *testing.T, o emulator.Options) *world {
	t.Helper()
	cloud := must(emulator.Start(o))
	t.Cleanup(func() { _ = cloud.Close() })
	if err := cloud.AddKMSInstance(kst, ""); err != nil {
		t.Fatal(err)
	}
	w := &world{Cloud: cloud, t: t}
	w.shared = w.openAPI(Config{Region: "cn-hangzhou", Now: o.Now})
	w.dedicated = w.openAPI(Config{Region: "cn-hangzhou", Endpoint: kstHost, CABundle: cloud.KMSInstanceCA(kst), Now: o.Now})
	file, password, err := cloud.KMS().AddClientKey(kst)
	if err != nil {
		t.Fatal(err)
	}
	w.clientKey = w.newClientKey(ClientKeyConfig{Key: file, Password: password, CABundle: cloud.KMSInstanceCA(kst), Now: o.Now})
	return w
}

// openAPI returns a client of cfg, with an identity of RRSA unless it has one.
func (w *world) openAPI(cfg Config) *OpenAPI {
	w.t.Helper()
	transport := w.Transport()
	w.t.Cleanup(transport.CloseIdleConnections)
	if cfg.Identity == nil {
		cfg.Identity = must(identity.New(identity.Config{RoleARN: w.RoleARN(), OIDCProviderARN: w.OIDCProviderARN(),
			OIDCTokenFile: w.WriteTokenFile(emulator.TokenOptions{}), Region: "cn-hangzhou", Transport: transport, Now: cfg.Now,
			Log: slog.New(slog.DiscardHandler)}))
	}
	cfg.Transport = transport
	client, err := NewOpenAPI(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.CloseIdleConnections)
	return client
}

func (w *world) newClientKey(cfg ClientKeyConfig) *ClientKey {
	w.t.Helper()
	cfg.Endpoint, cfg.Transport = kstHost, w.Transport()
	client, err := NewClientKey(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.CloseIdleConnections)
	return client
}

func (w *world) addKey(o emulated.KeyOptions) string {
	w.t.Helper()
	o.Instance = kst
	return must(w.KMS().AddKey(o))
}

// clients are the three ways, by name.
func (w *world) clients() map[string]Client {
	return map[string]Client{"shared gateway": w.shared, "dedicated instance": w.dedicated, "client key": w.clientKey}
}

func TestSignatures(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	digest := sha256.Sum256([]byte("payload"))
	pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	for _, tc := range []struct {
		spec     KeySpec
		material crypto.Signer
		opts     []crypto.SignerOpts
		x509     []x509.SignatureAlgorithm
	}{
		{RSA2048, rsaKey(), []crypto.SignerOpts{pss, &rsa.PSSOptions{Hash: crypto.SHA256}, &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}, crypto.SHA256},
			[]x509.SignatureAlgorithm{x509.SHA256WithRSAPSS, x509.SHA256WithRSA}},
		{ECP256, ecKey(), []crypto.SignerOpts{crypto.SHA256}, []x509.SignatureAlgorithm{x509.ECDSAWithSHA256}},
	} {
		alias := "alias/" + strings.ToLower(strings.ReplaceAll(string(tc.spec), "_", "-"))
		id := w.addKey(emulated.KeyOptions{Spec: string(tc.spec), Alias: alias, Material: tc.material})
		for name, client := range w.clients() {
			t.Run(string(tc.spec)+" "+name, func(t *testing.T) {
				key, err := client.DescribeKey(t.Context(), id)
				if err != nil || key.ID != id || key.Spec != tc.spec {
					t.Errorf("DescribeKey: %+v, %v", key, err)
				}
				if _, isOpenAPI := client.(*OpenAPI); isOpenAPI && (key.State != "Enabled" || key.Usage != "SIGN/VERIFY" || key.Origin == "" || key.InstanceID != kst) {
					t.Errorf("DescribeKey: %+v", key)
				}
				for _, asked := range []string{id, alias} {
					signer, err := NewSigner(t.Context(), client, asked, "")
					if err != nil {
						t.Fatal(err)
					}
					if !tc.material.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(signer.Public()) || signer.PublicKey().KeyID != id {
						t.Errorf("%s: another key: %+v", asked, signer.PublicKey())
					}
					for _, opts := range tc.opts {
						if _, err := signer.Sign(rand.Reader, digest[:], opts); err != nil { // which checks the signature
							t.Errorf("%s %T: %v", asked, opts, err)
						}
					}
					for _, algorithm := range tc.x509 {
						checkCertificate(t, signer, algorithm)
					}
				}
			})
		}
	}
}

// checkCertificate has signer sign a certificate of its own.
func checkCertificate(t *testing.T, signer crypto.Signer, algorithm x509.SignatureAlgorithm) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "n"}, NotAfter: time.Now().Add(time.Hour),
		SignatureAlgorithm: algorithm}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Errorf("%s: %v", algorithm, err)
		return
	}
	cert := must(x509.ParseCertificate(der))
	if err := cert.CheckSignature(algorithm, cert.RawTBSCertificate, cert.Signature); err != nil {
		t.Errorf("%s: %v", algorithm, err)
	}
}

// Keys that Go has no signatures for have a spec all the same, and no signer.
func TestForeignKeys(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	for _, spec := range []KeySpec{ECP256K, ECSM2} {
		id := w.addKey(emulated.KeyOptions{Spec: string(spec)})
		for name, client := range w.clients() {
			if key, err := client.PublicKey(t.Context(), id, ""); err != nil || key.Spec != spec || key.Key != nil {
				t.Errorf("%s: %+v, %v", name, key, err)
			}
			if _, err := NewSigner(t.Context(), client, id, ""); !errors.Is(err, ErrKeySpec) || !strings.Contains(err.Error(), string(spec)) {
				t.Errorf("%s: %v, want ErrKeySpec with %s", name, err, spec)
			}
		}
	}
}

func TestVersions(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	id := w.addKey(emulated.KeyOptions{Spec: string(ECP256)})
	var made []string
	for range 2*pageSize + 1 { // pages that end with the list, and not
		made = append(made, must(w.KMS().AddKeyVersion(id)))
	}
	list, err := w.shared.KeyVersions(t.Context(), id)
	if err != nil || len(list) != 2*pageSize+2 {
		t.Fatalf("%d versions, %v", len(list), err)
	}
	slices.Reverse(made)
	for i, version := range made {
		if list[i].ID != version || list[i].Created.IsZero() {
			t.Fatalf("version %d is %+v, want %s", i, list[i], version)
		}
	}
	for asked, want := range map[string]string{"": made[0], made[7]: made[7]} {
		signer, err := NewSigner(t.Context(), w.shared, id, asked)
		if err != nil || signer.PublicKey().Version != want || !signer.Public().(*ecdsa.PublicKey).Equal(w.KMS().PublicKey(id, want)) {
			t.Fatalf("%q: %+v, %v", asked, signer, err)
		}
		if _, err := signer.SignContext(t.Context(), make([]byte, 32), crypto.SHA256); err != nil {
			t.Error(err)
		}
	}
	// A signer stays with its version when a newer one comes.
	signer := must(NewSigner(t.Context(), w.shared, id, ""))
	must(w.KMS().AddKeyVersion(id))
	if _, err := signer.SignContext(t.Context(), make([]byte, 32), crypto.SHA256); err != nil {
		t.Error(err)
	}
	if _, err := w.shared.PublicKey(t.Context(), id, "no-such-version"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a missing version: %v", err)
	}
	// The instance's own protocol knows no versions.
	if _, err := w.clientKey.PublicKey(t.Context(), id, made[0]); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "no version") {
		t.Errorf("a version with a client key: %v", err)
	}
	if _, err := w.clientKey.Sign(t.Context(), id, made[0], ECDSA, [32]byte{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("a version with a client key: %v", err)
	}
	if _, err := w.clientKey.KeyVersions(t.Context(), id); !errors.Is(err, ErrUnsupported) {
		t.Errorf("versions with a client key: %v", err)
	}
}

func TestSecrets(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	first := w.KMS().PutSecret("signer", "one")
	second := w.KMS().PutSecret("signer", "two")
	for name, client := range w.clients() {
		for _, tc := range []struct {
			asked         SecretVersion
			version, data string
		}{
			{SecretVersion{}, second, "two"},
			{SecretVersion{Stage: StageCurrent}, second, "two"},
			{SecretVersion{Stage: StagePrevious}, first, "one"},
			{SecretVersion{ID: first}, first, "one"},
			{SecretVersion{ID: second, Stage: StagePrevious}, second, "two"}, // the ID goes first
		} {
			secret, err := client.Secret(t.Context(), "signer", tc.asked)
			if err != nil || secret.Version != tc.version || string(secret.Data) != tc.data || secret.Name != "signer" || len(secret.Stages) != 1 {
				t.Errorf("%s %+v: %v, %v", name, tc.asked, secret, err)
			}
			if text := fmt.Sprintf("%v %+v %#v", secret, secret, secret); strings.Contains(text, tc.data) {
				t.Errorf("the data is printed: %s", text)
			}
		}
	}
	w.KMS().RemoveSecretVersion("signer", first)
	for name, client := range w.clients() {
		for _, asked := range []SecretVersion{{Stage: StagePrevious}, {ID: first}} {
			if _, err := client.Secret(t.Context(), "signer", asked); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "secret signer") {
				t.Errorf("%s: a version that was removed: %v", name, err)
			}
		}
		if _, err := client.Secret(t.Context(), "other", SecretVersion{}); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: a missing secret: %v", name, err)
		}
	}
}

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
