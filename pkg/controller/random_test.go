package controller

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratify-project/ratify/api/v1beta1"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// service is a key service: what it holds, by the parameter value of its providers. "" is nothing any more.
type service map[string]string

// ofService is a key management provider of a service.
type ofService struct {
	service service
	value   string
}

func (c ofService) IsRefreshable() bool                   { return true }
func (c ofService) DefaultRefreshInterval() time.Duration { return time.Minute }

func (c ofService) GetCertificates(context.Context) (map[keymanagementprovider.KMPMapKey][]*x509.Certificate, keymanagementprovider.KeyManagementProviderStatus, error) {
	if c.service[c.value] == "" {
		return nil, nil, keymaterial.ErrGone
	}
	return map[keymanagementprovider.KMPMapKey][]*x509.Certificate{{Name: "c"}: {{Raw: []byte(c.service[c.value])}}}, nil, nil
}

func (c ofService) GetKeys(context.Context) (map[keymanagementprovider.KMPMapKey]crypto.PublicKey, keymanagementprovider.KeyManagementProviderStatus, error) {
	return nil, nil, nil
}

// judge is a verifier that finds what the certificate says.
func judge(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
	certificates, err := in.Certificates(ctx, c["trust"].(string))
	if err != nil {
		return nil, err
	}
	return &opinion{c["name"].(string), string(certificates[0].Raw) == "good"}, nil
}

// changing are resources that change at random, and a service.
type changing struct {
	*rand.Rand
	held      service
	uid       int
	resources Resources
}

func (c *changing) oneOf(values ...string) string { return values[c.IntN(len(values))] }

// meta names a resource that may be another one than before.
func (c *changing) meta(namespace, name string) metav1.ObjectMeta {
	m := meta(namespace, name)
	if m.UID = "1"; c.IntN(8) == 0 {
		c.uid++
		m.UID = types.UID(fmt.Sprint(c.uid))
	}
	return m
}

func (c *changing) change() {
	r := &c.resources
	parameters := func(trust string, mandatory bool) runtime.RawExtension {
		return raw(fmt.Sprintf(`{"trust": %q, "mandatory": %t}`, trust, mandatory))
	}
	value := func() runtime.RawExtension { return raw(fmt.Sprintf(`{"value": %q}`, c.oneOf("x", "y"))) }
	switch c.IntN(6) {
	case 0:
		c.held[c.oneOf("x", "y")] = c.oneOf("good", "bad", "")
	case 1:
		r.KeyManagementProviders = nil
		if c.IntN(4) > 0 {
			r.KeyManagementProviders = []v1beta1.KeyManagementProvider{{ObjectMeta: c.meta("", "kmp"),
				Spec: v1beta1.KeyManagementProviderSpec{Type: "service", Parameters: value()}}}
		}
	case 2:
		r.NamespacedKeyManagementProviders = nil
		if c.IntN(4) > 0 {
			r.NamespacedKeyManagementProviders = []v1beta1.NamespacedKeyManagementProvider{{ObjectMeta: c.meta("a", "kmp"),
				Spec: v1beta1.NamespacedKeyManagementProviderSpec{Type: "service", Parameters: value()}}}
		}
	case 3:
		r.Verifiers = []v1beta1.Verifier{{ObjectMeta: c.meta("", "verifier"),
			Spec: v1beta1.VerifierSpec{Name: "judge", ArtifactTypes: signature, Parameters: parameters("kmp", c.IntN(2) == 0)}}}
	case 4:
		r.NamespacedVerifiers = nil
		if c.IntN(4) > 0 {
			r.NamespacedVerifiers = []v1beta1.NamespacedVerifier{{ObjectMeta: c.meta("a", "own"),
				Spec: v1beta1.NamespacedVerifierSpec{Type: "judge", ArtifactTypes: signature, Parameters: raw(`{"trust": "a/kmp"}`)}}}
		}
	case 5:
		r.NamespacedStores = nil
		if c.IntN(2) == 0 {
			r.NamespacedStores = []v1beta1.NamespacedStore{{ObjectMeta: c.meta("a", "store"), Spec: v1beta1.NamespacedStoreSpec{Name: "signed"}}}
		}
	}
}

// Whatever changes, in whatever order: with all that is kept and remembered nothing is verified that would not be by who began anew, and where
// nothing is wrong the verdicts are the same.
func TestWhatIsKeptDecidesAsWhatIsNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		verified := 0
		for seed := range uint64(10) {
			c := &changing{Rand: rand.New(rand.NewPCG(seed, 0)), held: service{"x": "good", "y": "bad"}, resources: cluster()}
			c.resources.Verifiers, c.resources.KeyManagementProviders = nil, nil
			begin := func(o verification.Options) (*Builder, *verification.Engine) {
				b, _ := newBuilder()
				b.Factories.Verifiers["judge"] = judge
				b.Factories.KeyManagementProviders["service"] = func(block kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
					return ofService{c.held, block["value"].(string)}, nil
				}
				return b, verification.NewEngine(o)
			}
			old, oldEngine := begin(verification.Options{VerdictTTL: 1000 * time.Hour})
			for step := range 100 {
				c.change()
				time.Sleep(2 * time.Minute)
				old.Refresh(t.Context(), func(bool) {})()
				s, _ := old.Build(t.Context(), c.resources)
				oldEngine.Load(s)
				anew, anewEngine := begin(verification.Options{})
				s, statuses := anew.Build(t.Context(), c.resources)
				anewEngine.Load(s)
				for _, namespace := range []string{"", "a", "b"} {
					got, want := oldEngine.Verify(t.Context(), namespace, image), anewEngine.Verify(t.Context(), namespace, image)
					admitted := got.Outcome == verification.Verified
					if admitted {
						verified++
					}
					if got.Outcome != want.Outcome && (admitted || len(errorsOf(statuses)) == 0) {
						t.Fatalf("seed %d, step %d, namespace %q: %s, want %s: %v", seed, step, namespace, got.Outcome, want.Outcome, got.Err)
					}
				}
			}
		}
		if verified < 100 {
			t.Errorf("%d images were verified: the test shows nothing", verified)
		}
	})
}
