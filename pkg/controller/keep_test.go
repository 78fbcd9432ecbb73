package controller

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratify-project/ratify/api/v1beta1"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/keymaterial"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// counting makes b count how often it makes a verifier, by its name and, for a namespace's, that before it.
func counting(b *Builder) map[string]int {
	made := make(map[string]int)
	inner := b.Factories.Verifiers["opinion"]
	b.Factories.Verifiers["opinion"] = func(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
		made[ID{Namespace: in.Namespace, Name: c["name"].(string)}.Reference()]++
		return inner(ctx, c, in)
	}
	return made
}

// rotating is a key management provider whose certificates and key a test changes.
type rotating struct {
	certificates []string
	key          crypto.PublicKey
	err          error
}

func (p *rotating) IsRefreshable() bool { return true }

func (p *rotating) DefaultRefreshInterval() time.Duration { return time.Minute }

func (p *rotating) GetCertificates(context.Context) (map[keymanagementprovider.KMPMapKey][]*x509.Certificate, keymanagementprovider.KeyManagementProviderStatus, error) {
	var all []*x509.Certificate
	for _, c := range p.certificates {
		all = append(all, &x509.Certificate{Raw: []byte(c)})
	}
	return map[keymanagementprovider.KMPMapKey][]*x509.Certificate{{Name: "c"}: all}, keymanagementprovider.KeyManagementProviderStatus{"ReadAt": time.Now()}, p.err
}

func (p *rotating) GetKeys(context.Context) (map[keymanagementprovider.KMPMapKey]crypto.PublicKey, keymanagementprovider.KeyManagementProviderStatus, error) {
	return map[keymanagementprovider.KMPMapKey]crypto.PublicKey{{Name: "k"}: p.key}, nil, nil
}

// number is a public key.
type number int

func (n number) Equal(other crypto.PublicKey) bool { return n == other }

// Verifiers are made anew only when what they are made of has changed; the others are the same ones, with what they remember.
func TestVerifiersAreKept(t *testing.T) {
	good, bad := `{"good": true, "trust": "kmp"}`, `{"good": "yes", "trust": "kmp"}`
	for name, tt := range map[string]struct {
		change func(r *Resources, p *rotating)
		anew   bool
	}{
		"nothing": {func(*Resources, *rotating) {}, false},
		"another verifier": {func(r *Resources, _ *rotating) {
			r.Verifiers = append(r.Verifiers, clusterVerifier("z", `{"good": true}`))
		}, false},
		"another verifier's mistake": {func(r *Resources, _ *rotating) { r.Verifiers = append(r.Verifiers, clusterVerifier("z", `{}`)) }, false},
		"a store":                    {func(r *Resources, _ *rotating) { r.Stores[0].Spec.Parameters = raw(`{"label": "x"}`) }, false},
		"another provider": {func(r *Resources, _ *rotating) {
			r.KeyManagementProviders = append(r.KeyManagementProviders, v1beta1.KeyManagementProvider{ObjectMeta: meta("", "other"), Spec: r.KeyManagementProviders[0].Spec})
		}, false},
		"a namespace's provider of the same name": {func(r *Resources, _ *rotating) {
			r.NamespacedKeyManagementProviders = []v1beta1.NamespacedKeyManagementProvider{{ObjectMeta: meta("team", "kmp"),
				Spec: v1beta1.NamespacedKeyManagementProviderSpec{Type: "vault", Parameters: raw(`{"value": 1}`)}}}
		}, false},
		"the provider's resource, not what it holds": {func(r *Resources, _ *rotating) { r.KeyManagementProviders[0].Spec.RefreshInterval = "5m" }, false},
		"the provider cannot be read again":          {func(_ *Resources, p *rotating) { p.err = errors.New("KMS is down") }, false},
		"its parameters": {func(r *Resources, _ *rotating) {
			r.Verifiers[0].Spec.Parameters = raw(`{"good": false, "trust": "kmp"}`)
		}, true},
		"its artifact types":                      {func(r *Resources, _ *rotating) { r.Verifiers[0].Spec.ArtifactTypes = "a/b" }, true},
		"its UID":                                 {func(r *Resources, _ *rotating) { r.Verifiers[0].UID = "2" }, true},
		"its parameters, with a mistake":          {func(r *Resources, _ *rotating) { r.Verifiers[0].Spec.Parameters = raw(bad) }, false},
		"a certificate":                           {func(_ *Resources, p *rotating) { p.certificates = []string{"two"} }, true},
		"a certificate more":                      {func(_ *Resources, p *rotating) { p.certificates = []string{"one", "two"} }, true},
		"a key":                                   {func(_ *Resources, p *rotating) { p.key = number(2) }, true},
		"the provider is gone":                    {func(r *Resources, _ *rotating) { r.KeyManagementProviders = nil }, true},
		"the provider has a mistake":              {func(r *Resources, _ *rotating) { r.KeyManagementProviders[0].Spec.Parameters = raw(`{}`) }, true},
		"the provider found out that all is gone": {func(_ *Resources, p *rotating) { p.err = keymaterial.ErrGone }, true},
		"the certificate is gone, the parameters have a mistake": {func(r *Resources, _ *rotating) {
			r.KeyManagementProviders, r.Verifiers[0].Spec.Parameters = nil, raw(bad)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := newBuilder()
				provider := &rotating{certificates: []string{"one"}, key: number(1)}
				b.Factories.KeyManagementProviders["rotating"] = func(c kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
					if c["value"] == nil {
						return nil, errors.New("value is missing")
					}
					return provider, nil
				}
				r := cluster()
				r.KeyManagementProviders[0].Spec.Type = "rotating"
				r.Verifiers[0].Spec.Parameters = raw(good)
				first, statuses := b.Build(t.Context(), r)
				if told := errorsOf(statuses); len(told) > 0 {
					t.Fatal(told)
				}
				tt.change(&r, provider)
				time.Sleep(2 * time.Minute)
				b.Refresh(t.Context(), func(bool) {})()
				second, _ := b.Build(t.Context(), r)
				third, _ := b.Build(t.Context(), r)
				verifiers := func(s *verification.Snapshot) verifier.ReferenceVerifier { return s.Scope("").Verifiers[0] }
				if same := verifiers(first) == verifiers(second); same == tt.anew {
					t.Errorf("the same verifier: %t", same)
				}
				if _, usable := verifiers(second).(*opinion); usable && verifiers(second) != verifiers(third) {
					t.Error("it was made anew without a change")
				}
			})
		})
	}
}

// filed is a verifier that was made of files.
type filed struct{ opinion }

func (f *filed) FromFiles() bool { return f.good }

// Files may change without a resource, so that what was made of them is made anew with each Build.
func TestVerifiersOfFilesAreNotKept(t *testing.T) {
	b, _ := newBuilder()
	made := 0
	var wrong error
	b.Factories.Verifiers["opinion"] = func(_ context.Context, c verifierconfig.VerifierConfig, _ config.VerifierInput) (verifier.ReferenceVerifier, error) {
		made++
		if wrong != nil {
			return (*filed)(nil), wrong
		}
		return &filed{opinion{c["name"].(string), true}}, nil
	}
	for range 3 {
		b.Build(t.Context(), cluster())
	}
	if made != 3 {
		t.Errorf("made %d times, want 3", made)
	}
	wrong = errors.New("a file is gone")
	if s, _ := b.Build(t.Context(), cluster()); outcome(t, s, "").Outcome != verification.Undetermined {
		t.Error("what was made of a file that is gone is in use")
	}
}

// Verdicts are forgotten where a change counts, and nowhere else.
func TestVerdictsOutliveOthersChanges(t *testing.T) {
	everyone := []string{"", "a", "b", "c"}
	kmp := func(value string) []v1beta1.NamespacedKeyManagementProvider {
		return []v1beta1.NamespacedKeyManagementProvider{{ObjectMeta: meta("a", "kmp"),
			Spec: v1beta1.NamespacedKeyManagementProviderSpec{Type: "labelled", Parameters: raw(`{"value": "` + value + `"}`)}}}
	}
	for name, tt := range map[string]struct {
		change func(r *Resources)
		forget []string
	}{
		"nothing": {func(*Resources) {}, nil},
		"another namespace": {func(r *Resources) {
			r.NamespacedVerifiers = append(r.NamespacedVerifiers, tenantVerifier("d", "own", `{"good": true}`))
		}, nil},
		"its verifier":            {func(r *Resources) { r.NamespacedVerifiers[1].Spec.ArtifactTypes = "*" }, []string{"b"}},
		"its verifier is deleted": {func(r *Resources) { r.NamespacedVerifiers = r.NamespacedVerifiers[:1] }, nil}, // the cluster's are its own now
		"its key material":        {func(r *Resources) { r.NamespacedKeyManagementProviders = kmp("two") }, []string{"a"}},
		"its key material, gone":  {func(r *Resources) { r.NamespacedKeyManagementProviders = nil }, []string{"a"}},
		"the cluster's verifier":  {func(r *Resources) { r.Verifiers[0].Spec.ArtifactTypes = "*" }, []string{"", "c"}},
		"the cluster's store":     {func(r *Resources) { r.Stores[0].Spec.Parameters = raw(`{"label": "x"}`) }, everyone},
		"the cluster's policy":    {func(r *Resources) { r.Policies[0].UID = "2" }, everyone},
		"a mandatory verifier": {func(r *Resources) {
			r.Verifiers[0].Spec.Parameters = raw(`{"good": true, "trust": "kmp", "mandatory": true}`)
		},
			everyone},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBuilder()
			b.Factories.KeyManagementProviders["labelled"] = func(c kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
				return &rotating{certificates: []string{c["value"].(string)}, key: number(1)}, nil
			}
			r := cluster()
			r.NamespacedKeyManagementProviders = kmp("one")
			r.NamespacedVerifiers = []v1beta1.NamespacedVerifier{tenantVerifier("a", "own", `{"good": true, "trust": "a/kmp"}`), tenantVerifier("b", "own", `{"good": true}`)}
			e := verification.NewEngine(verification.Options{VerdictTTL: time.Hour})
			load := func() {
				s, _ := b.Build(t.Context(), r)
				e.Load(s)
			}
			load()
			for _, namespace := range everyone {
				if v := e.Verify(t.Context(), namespace, image); v.Outcome != verification.Verified {
					t.Fatalf("namespace %q: %s %v", namespace, v.Outcome, v.Err)
				}
			}
			tt.change(&r)
			load()
			for _, namespace := range everyone {
				if _, known := e.Begin().Known(namespace, image); known == slices.Contains(tt.forget, namespace) {
					t.Errorf("namespace %q: known: %t", namespace, known)
				}
			}
		})
	}
}
