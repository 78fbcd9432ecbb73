package signing

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"maps"
	"math/big"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/notaryproject/notation-plugin-framework-go/plugin"
	"go.uber.org/goleak"

	corex509 "github.com/notaryproject/notation-core-go/x509"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/identity"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/settings"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
	emulated "github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

func TestMain(m *testing.M) {
	os.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	goleak.VerifyTestMain(m)
}

const (
	kstID    = "kst-hzz0123456789"
	instance = kstID + ".cryptoservice.kms.aliyuncs.com"
	gateway  = "kms.cn-hangzhou.aliyuncs.com"
)

var payload = []byte(`{"targetArtifact":{}}`)

// rsaKeys are shared by the tests, as making them is slow.
var rsaKeys = sync.OnceValue(func() (keys [2]*rsa.PrivateKey) {
	for i := range keys {
		keys[i], _ = rsa.GenerateKey(rand.Reader, 2048)
	}
	return keys
})

// way is one of the two to KMS.
type way struct {
	name         string
	host         string
	sign, lookUp string // what calls are named
	config       map[string]string
}

var ways = []way{
	{"OpenAPI", gateway, "AsymmetricSign", "DescribeKey", map[string]string{"credential_type": "access_key"}},
	{"ClientKey", instance, "Sign", "GetPublicKey", map[string]string{"credential_type": "client_key"}},
}

// world is a cloud with an instance of KMS, and a plugin that reaches it.
type world struct {
	*emulator.Cloud
	plugin  *Plugin
	notices notices
	now     time.Time
	dir     string
	// callTimeout is of each call of KMS; zero is the client's own.
	callTimeout time.Duration
	between     func(kms.Client) kms.Client // stands between the plugin and the client, if set
	config      map[string]string
}

// notices are what the plugin says, maybe to several callers at once.
type notices struct {
	mu   sync.Mutex
	text strings.Builder
}

func (n *notices) Write(text []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(text)
}

// take returns what was said since the last time.
func (n *notices) take() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.text.Reset()
	return n.text.String()
}

func newWorld(t *testing.T, w way) *world {
	t.Helper()
	cloud := emulatortest.Start(t, emulator.Options{})
	if err := cloud.AddKMSInstance(kstID, ""); err != nil {
		t.Fatal(err)
	}
	id, secret := cloud.AddAccessKey()
	t.Setenv(identity.EnvAccessKeyID, id)
	t.Setenv(identity.EnvAccessKeySecret, secret)
	t.Setenv(settings.EnvClientKeyFile, "client key")
	t.Setenv(settings.EnvPassword, "password")
	t.Setenv(settings.EnvEndpoint, instance)
	world := &world{Cloud: cloud, now: time.Now(), dir: t.TempDir()}
	world.config = maps.Clone(w.config)
	world.config["output_cert_dir"] = world.dir
	var key []byte
	var password string
	if w.host == instance { // making one takes a while
		var err error
		if key, password, err = cloud.KMS().AddClientKey(kstID); err != nil {
			t.Fatal(err)
		}
	}
	transport := cloud.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	connect := func(s *settings.Settings) (kms.Client, error) {
		if s.ByClientKey() {
			return kms.NewClientKey(kms.ClientKeyConfig{Endpoint: instance, Key: key, Password: password, CABundle: cloud.KMSInstanceCA(kstID),
				Timeout: world.callTimeout, Transport: transport})
		}
		source, err := identity.Chain(s.CredentialType, identity.Config{})
		if err != nil {
			return nil, err
		}
		return kms.NewOpenAPI(kms.Config{Region: s.Region, Identity: source, Timeout: world.callTimeout, Transport: transport})
	}
	world.plugin = New(Options{Version: "1.2.3", Connect: func(s *settings.Settings) (kms.Client, error) {
		client, err := connect(s)
		if err == nil && world.between != nil {
			client = world.between(client)
		}
		return client, err
	}, Notices: &world.notices, Now: func() time.Time { return world.now }})
	return world
}

func (w *world) addKey(t *testing.T, o emulated.KeyOptions) string {
	t.Helper()
	o.Instance = cmp.Or(o.Instance, kstID)
	if o.Material == nil && (o.Spec == "" || o.Spec == "RSA_2048") {
		o.Material = rsaKeys()[0]
	}
	id, err := w.KMS().AddKey(o)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (w *world) describe(t *testing.T, keyID string, config ...string) (plugin.KeySpec, error) {
	t.Helper()
	resp, err := w.plugin.DescribeKey(t.Context(), &plugin.DescribeKeyRequest{ContractVersion: "1.0", KeyID: keyID, PluginConfig: w.with(config)})
	if err != nil {
		return "", err
	}
	if resp.KeyID != keyID {
		t.Errorf("described %s when asked for %s", resp.KeyID, keyID)
	}
	return resp.KeySpec, nil
}

func (w *world) generate(t *testing.T, keyID string, spec plugin.KeySpec, config ...string) (*plugin.GenerateSignatureResponse, error) {
	t.Helper()
	return w.plugin.GenerateSignature(t.Context(), &plugin.GenerateSignatureRequest{ContractVersion: "1.0", KeyID: keyID, KeySpec: spec,
		Hash: plugin.HashAlgorithmSHA256, Payload: payload, PluginConfig: w.with(config)})
}

// with adds pairs of keys and values to the configuration.
func (w *world) with(pairs []string) map[string]string {
	config := maps.Clone(w.config)
	for i := 0; i < len(pairs); i += 2 {
		config[pairs[i]] = pairs[i+1]
	}
	return config
}

// sign describes the key and makes a signature, as notation does, checks what notation checks, and returns the chain.
func (w *world) sign(t *testing.T, keyID string, config ...string) []*x509.Certificate {
	t.Helper()
	spec, err := w.describe(t, keyID, config...)
	if err != nil {
		t.Fatalf("describe-key: %v", err)
	}
	resp, err := w.generate(t, keyID, spec, config...)
	if err != nil {
		t.Fatalf("generate-signature: %v", err)
	}
	if resp.KeyID != keyID {
		t.Errorf("signed with %s when asked for %s", resp.KeyID, keyID)
	}
	var chain []*x509.Certificate
	for _, der := range resp.CertificateChain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	if err := corex509.ValidateCodeSigningCertChain(chain, &w.now); err != nil {
		t.Errorf("notation refuses the certificates: %v", err)
	}
	checkRaw(t, chain[0].PublicKey, spec, resp)
	return chain
}

// checkRaw checks a signature in the form of envelopes.
func checkRaw(t *testing.T, key crypto.PublicKey, spec plugin.KeySpec, resp *plugin.GenerateSignatureResponse) {
	t.Helper()
	digest := sha256.Sum256(payload)
	switch key := key.(type) {
	case *rsa.PublicKey:
		err := rsa.VerifyPSS(key, crypto.SHA256, digest[:], resp.Signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		if err != nil || spec != plugin.KeySpecRSA2048 || resp.SigningAlgorithm != plugin.SignatureAlgorithmRSASSA_PSS_SHA256 {
			t.Errorf("%v; %s, %s", err, spec, resp.SigningAlgorithm)
		}
	case *ecdsa.PublicKey:
		ok := key.Curve == elliptic.P256() && len(resp.Signature) == 64 &&
			ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(resp.Signature[:32]), new(big.Int).SetBytes(resp.Signature[32:]))
		if !ok || spec != plugin.KeySpecEC256 || resp.SigningAlgorithm != plugin.SignatureAlgorithmECDSA_SHA256 {
			t.Errorf("signature of %d bytes verifies: %t; %s, %s", len(resp.Signature), ok, spec, resp.SigningAlgorithm)
		}
	default:
		t.Errorf("a certificate for a %T", key)
	}
}

// calls returns how often KMS was called since the last time, by action.
func (w *world) calls() map[string]int {
	calls := make(map[string]int)
	for name, n := range w.Calls() {
		if host, action, _ := strings.Cut(name, " "); host == gateway || host == instance {
			calls[action] += n
		}
	}
	w.ResetCalls()
	return calls
}

func (w *world) fault(host string, f emulator.Fault) { w.Endpoint(host).SetFault(f) }

// throttled is a reply of either protocol that asks to come back later than anybody waits.
func throttled(w way) emulator.Fault {
	f := emulator.Fault{Status: http.StatusTooManyRequests, Body: `{"Code":"Throttling.User","Message":"slow down","RequestId":"R"}`,
		Header: http.Header{"Content-Type": {"application/json"}}}
	if w.host == instance {
		f = emulated.ClientKeyFault(http.StatusTooManyRequests, "Rejected.Throttling", "slow down")
	}
	f.Header.Set("Retry-After", "3600")
	return f
}
