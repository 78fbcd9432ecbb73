package controller

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/ratify-project/ratify/api/v1beta1"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/keymanagementprovider/inline"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation/revocation"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

const tenants = 1000

// withTenants returns a cluster of many namespaces, each with a Verifier and a key management provider of its own.
func withTenants(kind, parameters string, provider v1beta1.NamespacedKeyManagementProviderSpec) Resources {
	r := cluster()
	for i := range tenants {
		namespace := fmt.Sprintf("team-%d", i)
		v := tenantVerifier(namespace, "own", fmt.Sprintf(parameters, namespace))
		v.Spec.Type = kind
		r.NamespacedVerifiers = append(r.NamespacedVerifiers, v)
		r.NamespacedKeyManagementProviders = append(r.NamespacedKeyManagementProviders, v1beta1.NamespacedKeyManagementProvider{
			ObjectMeta: meta(namespace, "kmp"), Spec: provider,
		})
	}
	return r
}

// One tenant's edit makes one verifier, and leaves all others' as they were.
func TestOneTenantsEditMakesOneVerifier(t *testing.T) {
	b, read := newBuilder()
	made := counting(b)
	r := withTenants("opinion", `{"good": true, "trust": "%s/kmp"}`, v1beta1.NamespacedKeyManagementProviderSpec{Type: "vault", Parameters: raw(`{"value": 1}`)})
	if _, statuses := b.Build(t.Context(), r); len(errorsOf(statuses)) > 0 {
		t.Fatal(errorsOf(statuses))
	}
	clear(made)
	reads := read.Load()
	r.NamespacedVerifiers[tenants/2].Spec.ArtifactTypes = "edited"
	if _, statuses := b.Build(t.Context(), r); len(errorsOf(statuses)) > 0 {
		t.Fatal(errorsOf(statuses))
	}
	if want := fmt.Sprintf("team-%d/own", tenants/2); len(made) != 1 || made[want] != 1 {
		t.Errorf("made %v, want %s only", made, want)
	}
	if n := read.Load() - reads; n > 0 {
		t.Errorf("%d key management providers were read", n)
	}
}

// One tenant's edit among many Notation verifiers.
func BenchmarkBuild(b *testing.B) {
	log := slog.New(slog.DiscardHandler)
	shared, err := revocation.New(revocation.Options{Log: log})
	if err != nil {
		b.Fatal(err)
	}
	builder, _ := newBuilder()
	builder.Factories.Verifiers["notation"] = func(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
		return notation.New(ctx, c, notation.Options{Namespace: in.Namespace, KeyMaterial: certificates(in.Certificates), Revocation: shared, Log: log})
	}
	builder.Factories.KeyManagementProviders["inline"] = func(c kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
		return inline.New(c, time.Now)
	}
	root, err := signing.Root("tenant")
	if err != nil {
		b.Fatal(err)
	}
	r := withTenants("notation", `{"verificationCertStores": {"ca": {"certs": ["%s/kmp"]}}, "trustPolicyDoc": {"version": "1.0", "trustPolicies": [
		{"name": "all", "registryScopes": ["*"], "signatureVerification": {"level": "strict"}, "trustStores": ["ca:certs"], "trustedIdentities": ["*"]}]}}`,
		v1beta1.NamespacedKeyManagementProviderSpec{Type: "inline", Parameters: raw(fmt.Sprintf(`{"contentType": "certificate", "value": %q}`, root.PEM()))})
	edited := &r.NamespacedVerifiers[tenants/2].Spec
	if _, statuses := builder.Build(b.Context(), r); len(errorsOf(statuses)) > 0 {
		b.Fatal(errorsOf(statuses))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		edited.ArtifactTypes = fmt.Sprint("edit/", i)
		builder.Build(b.Context(), r)
	}
}

// certificates are a verifier's access to key material, as Notation verifiers ask for it.
type certificates func(ctx context.Context, provider string) ([]*x509.Certificate, error)

func (c certificates) Certificates(ctx context.Context, provider string) ([]*x509.Certificate, error) {
	return c(ctx, provider)
}
