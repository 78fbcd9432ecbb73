package controller

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/api/v1beta1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	_ "github.com/ratify-project/ratify/pkg/policyprovider/configpolicy"
	_ "github.com/ratify-project/ratify/pkg/policyprovider/regopolicy"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"
	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	signature = "application/vnd.cncf.notary.signature"
	image     = "registry.example.com/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// signed is a store in which every image has one signature.
type signed struct{ name string }

func (s *signed) Name() string                        { return s.name }
func (s *signed) GetConfig() *storeconfig.StoreConfig { return &storeconfig.StoreConfig{} }

func (s *signed) ListReferrers(_ context.Context, ref common.Reference, _ []string, _ string, _ *ocispecs.SubjectDescriptor) (referrerstore.ListReferrersResult, error) {
	return referrerstore.ListReferrersResult{Referrers: []ocispecs.ReferenceDescriptor{
		{ArtifactType: signature, Descriptor: oci.Descriptor{Digest: digest.FromString(ref.Digest.String())}},
	}}, nil
}

func (s *signed) GetSubjectDescriptor(_ context.Context, ref common.Reference) (*ocispecs.SubjectDescriptor, error) {
	return &ocispecs.SubjectDescriptor{Descriptor: oci.Descriptor{Digest: ref.Digest}}, nil
}

func (s *signed) GetBlobContent(context.Context, common.Reference, digest.Digest) ([]byte, error) {
	return nil, nil
}

func (s *signed) GetReferenceManifest(context.Context, common.Reference, ocispecs.ReferenceDescriptor) (ocispecs.ReferenceManifest, error) {
	return ocispecs.ReferenceManifest{}, nil
}

// opinion is a verifier whose parameters say what it finds out.
type opinion struct {
	name string
	good bool
}

func (v *opinion) Name() string                                                 { return v.name }
func (v *opinion) Type() string                                                 { return "opinion" }
func (v *opinion) CanVerify(context.Context, ocispecs.ReferenceDescriptor) bool { return true }
func (v *opinion) GetNestedReferences() []string                                { return nil }

func (v *opinion) Verify(context.Context, common.Reference, ocispecs.ReferenceDescriptor, referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	return verifier.VerifierResult{VerifierName: v.name, IsSuccess: v.good}, nil
}

// vault is a key management provider with one certificate, none if it is empty, or one that hangs.
type vault struct {
	fetched      *atomic.Int64
	empty, hangs bool
}

func (v vault) IsRefreshable() bool { return false }

func (v vault) GetCertificates(ctx context.Context) (map[keymanagementprovider.KMPMapKey][]*x509.Certificate, keymanagementprovider.KeyManagementProviderStatus, error) {
	v.fetched.Add(1)
	if v.hangs {
		<-ctx.Done()
		return nil, nil, ctx.Err()
	}
	if v.empty {
		return nil, nil, nil
	}
	return map[keymanagementprovider.KMPMapKey][]*x509.Certificate{{Name: "c"}: {{Raw: []byte("c")}}}, nil, nil
}

func (v vault) GetKeys(context.Context) (map[keymanagementprovider.KMPMapKey]crypto.PublicKey, keymanagementprovider.KeyManagementProviderStatus, error) {
	return nil, nil, nil
}

// newBuilder returns a Builder of such parts, and how often a vault was read.
func newBuilder() (*Builder, *atomic.Int64) {
	fetched := new(atomic.Int64)
	return &Builder{Factories: config.Factories{
		Stores: map[string]config.StoreFactory{"signed": func(_ context.Context, c storeconfig.StorePluginConfig, in config.StoreInput) (referrerstore.ReferrerStore, error) {
			if c["broken"] != nil {
				return nil, errors.New("broken is not a parameter")
			}
			return &signed{fmt.Sprint(c["label"], in.Version)}, nil
		}},
		Verifiers: map[string]config.VerifierFactory{"opinion": func(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
			if provider, ok := c["trust"].(string); ok {
				certificates, err := in.Certificates(ctx, provider)
				if err != nil {
					return nil, fmt.Errorf("trust: %w", err)
				}
				if len(certificates) != 1 {
					return nil, errors.New("trust: there is no certificate")
				}
				if _, err := in.Keys(ctx, provider); err != nil {
					return nil, fmt.Errorf("trust: %w", err)
				}
			}
			if c["mandatory"] != nil {
				return nil, errors.New("mandatory is not a parameter")
			}
			good, ok := c["good"].(bool)
			if !ok {
				return nil, errors.New("good must be true or false")
			}
			return &opinion{c["name"].(string), good}, nil
		}},
		KeyManagementProviders: map[string]config.KeyManagementProviderFactory{"vault": func(c kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
			if c["value"] == nil {
				return nil, errors.New("value is missing")
			}
			return vault{fetched, c["value"] == "empty", c["value"] == "hangs"}, nil
		}},
	}}, fetched
}

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func raw(parameters string) runtime.RawExtension {
	return runtime.RawExtension{Raw: []byte(parameters)}
}

func clusterVerifier(name, parameters string) v1beta1.Verifier {
	return v1beta1.Verifier{ObjectMeta: meta("", name), Spec: v1beta1.VerifierSpec{Name: "opinion", ArtifactTypes: signature, Parameters: raw(parameters)}}
}

func tenantVerifier(namespace, name, parameters string) v1beta1.NamespacedVerifier {
	return v1beta1.NamespacedVerifier{ObjectMeta: meta(namespace, name),
		Spec: v1beta1.NamespacedVerifierSpec{Type: "opinion", ArtifactTypes: signature, Parameters: raw(parameters)}}
}

const anySignature = `{"artifactVerificationPolicies": {"` + signature + `": "any"}}`

// cluster is a usable cluster: a store, a policy, a key management provider and a verifier.
func cluster() Resources {
	return Resources{
		Stores:                 []v1beta1.Store{{ObjectMeta: meta("", "store-oras"), Spec: v1beta1.StoreSpec{Name: "signed", Parameters: raw(`{"label": "cluster "}`)}}},
		Policies:               []v1beta1.Policy{{ObjectMeta: meta("", "ratify-policy"), Spec: v1beta1.PolicySpec{Type: "configPolicy", Parameters: raw(anySignature)}}},
		Verifiers:              []v1beta1.Verifier{clusterVerifier("verifier", `{"good": true, "trust": "kmp"}`)},
		KeyManagementProviders: []v1beta1.KeyManagementProvider{{ObjectMeta: meta("", "kmp"), Spec: v1beta1.KeyManagementProviderSpec{Type: "vault", Parameters: raw(`{"value": 1}`)}}},
	}
}

// outcome loads a Snapshot and asks about the image in a namespace.
func outcome(t *testing.T, s *verification.Snapshot, namespace string) verification.Verdict {
	t.Helper()
	e := verification.NewEngine(verification.Options{})
	e.Load(s)
	return e.Verify(t.Context(), namespace, image)
}

// errorsOf returns the errors of the statuses by resource.
func errorsOf(statuses []Status) map[string]string {
	told := make(map[string]string)
	for _, s := range statuses {
		if s.Err != nil {
			told[s.ID.String()] = s.Err.Error()
		}
	}
	return told
}
