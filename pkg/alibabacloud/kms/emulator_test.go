package kms

import (
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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/identity"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
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
	cloud := emulatortest.Start(t, o)
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
	return client
}

func (w *world) newClientKey(cfg ClientKeyConfig) *ClientKey {
	w.t.Helper()
	cfg.Endpoint, cfg.Transport = kstHost, w.Transport()
	client, err := NewClientKey(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
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
