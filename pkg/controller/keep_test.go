package controller

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
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

// What is downloaded is downloaded once, until the resource says something else, or another one takes the place of the program.
func TestSourceIsDownloadedOnce(t *testing.T) {
	b, _ := newBuilder()
	made := counting(b)
	from := func(name, artifact string) v1beta1.Verifier {
		v := clusterVerifier(name, `{"good": true}`)
		v.Spec.Source = &v1beta1.PluginSource{Artifact: artifact}
		return v
	}
	elsewhere := from("elsewhere", "registry.example.com/plugin:v1")
	elsewhere.Spec.Address = "/elsewhere"
	r := cluster()
	for i, step := range []struct {
		verifiers []v1beta1.Verifier
		want      string
	}{
		{[]v1beta1.Verifier{from("a", "registry.example.com/plugin:v1"), elsewhere}, "map[a:1 elsewhere:1]"},
		{[]v1beta1.Verifier{from("a", "registry.example.com/plugin:v1"), elsewhere}, "map[a:1 elsewhere:1]"},
		{[]v1beta1.Verifier{from("a", "registry.example.com/plugin:v2"), elsewhere}, "map[a:2 elsewhere:1]"},
		{[]v1beta1.Verifier{from("a", "registry.example.com/plugin:v2"), from("b", "registry.example.com/plugin:v3"), elsewhere}, "map[a:3 b:1 elsewhere:1]"},
		{[]v1beta1.Verifier{from("a", "registry.example.com/plugin:v2"), from("b", "registry.example.com/plugin:v3"), elsewhere}, "map[a:3 b:1 elsewhere:1]"},
		{[]v1beta1.Verifier{from("a", "registry.example.com/plugin:v2"), elsewhere}, "map[a:4 b:1 elsewhere:1]"}, // b's program is in its place
	} {
		r.Verifiers = step.verifiers
		for range 3 {
			b.Build(t.Context(), r)
		}
		if got := fmt.Sprint(made); got != step.want {
			t.Errorf("step %d: made %s, want %s", i, got, step.want)
		}
	}
}

// A namespace's verifier runs a program that a cluster-wide resource has downloaded. Its verdicts are forgotten when another takes that one's place.
func TestVerdictsEndWithTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBuilder()
		var away error
		inner := b.Factories.Verifiers["opinion"]
		b.Factories.Verifiers["opinion"] = func(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
			if c["source"] != nil && away != nil {
				return nil, away
			}
			return inner(ctx, c, in)
		}
		r := cluster()
		r.Verifiers[0].Spec.Source = &v1beta1.PluginSource{Artifact: "registry.example.com/plugin:v1"}
		r.NamespacedVerifiers = []v1beta1.NamespacedVerifier{tenantVerifier("a", "own", `{"good": true}`)}
		e := verification.NewEngine(verification.Options{VerdictTTL: time.Hour})
		known := func() bool {
			s, _ := b.Build(t.Context(), r)
			e.Load(s)
			_, known := e.Begin().Known("a", image)
			e.Verify(t.Context(), "a", image)
			return known
		}
		for i, step := range []struct {
			change func()
			want   bool
		}{
			{func() {}, false},
			{func() {}, true},
			{func() { r.Verifiers[0].Spec.ArtifactTypes = "a/b" }, false}, // downloads again, and the tag may be another program's
			{func() {}, true},
			{func() {
				away = fmt.Errorf("plugin %w: the registry is away", config.ErrDownload)
				r.Verifiers[0].Spec.Source = &v1beta1.PluginSource{Artifact: "registry.example.com/plugin:v2"}
			}, true},
			{func() {}, true},
			{func() { away = nil; time.Sleep(time.Until(b.Due())) }, false},
			{func() {}, true},
		} {
			step.change()
			if got := known(); got != step.want {
				t.Errorf("step %d: the verdict is known: %t", i, got)
			}
		}
	})
}

// What cannot be downloaded leaves the last program where it is: what was made of that stays in use, while its registry is away, too.
func TestFailedDownloadKeepsTheLastOne(t *testing.T) {
	for name, next := range map[string]v1beta1.VerifierSpec{
		"another source":     {Source: &v1beta1.PluginSource{Artifact: "registry.example.com/plugin:v2"}, Parameters: raw(`{"good": true, "trust": "kmp"}`)},
		"the same source":    {Source: &v1beta1.PluginSource{Artifact: "registry.example.com/plugin:v1"}, Parameters: raw(`{"good": false, "trust": "kmp"}`)},
		"at another address": {Source: &v1beta1.PluginSource{Artifact: "registry.example.com/plugin:v2"}, Address: "/elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBuilder()
			inner, away := b.Factories.Verifiers["opinion"], false
			b.Factories.Verifiers["opinion"] = func(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
				if away && c["source"] != nil {
					return nil, fmt.Errorf("plugin %w", config.ErrDownload)
				}
				return inner(ctx, c, in)
			}
			r := cluster()
			r.Verifiers[0].Spec.Source = &v1beta1.PluginSource{Artifact: "registry.example.com/plugin:v1"}
			first, _ := b.Build(t.Context(), r)
			away = true
			next.Name, next.ArtifactTypes = "opinion", signature
			r.Verifiers[0].Spec = next
			for range 3 {
				s, statuses := b.Build(t.Context(), r)
				if s.Scope("").Verifiers[0] != first.Scope("").Verifiers[0] || len(errorsOf(statuses)) != 1 {
					t.Errorf("the last one is not in use: %v", errorsOf(statuses))
				}
			}
			r.KeyManagementProviders = nil
			if s, _ := b.Build(t.Context(), r); outcome(t, s, "").Outcome != verification.Undetermined {
				t.Error("the last one is in use with a certificate that is gone")
			}
		})
	}
}

// Whatever the names are, a program is there before those that run it are made, and these are made anew with it.
func TestProgramsComeFirst(t *testing.T) {
	b, _ := newBuilder()
	inner, downloaded := b.Factories.Verifiers["opinion"], false
	b.Factories.Verifiers["opinion"] = func(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
		if downloaded = downloaded || c["source"] != nil; !downloaded {
			return nil, errors.New("there is no such program")
		}
		return inner(ctx, c, in)
	}
	r := cluster()
	r.Verifiers = []v1beta1.Verifier{clusterVerifier("a", `{"good": true}`), clusterVerifier("z", `{"good": true}`)}
	r.Verifiers[1].Spec.Source = &v1beta1.PluginSource{Artifact: "registry.example.com/plugin:v1"}
	first, statuses := b.Build(t.Context(), r)
	if told := errorsOf(statuses); len(told) > 0 || first.Scope("").Verifiers[0].Name() != "a" {
		t.Errorf("%v, the first verifier is %s", told, first.Scope("").Verifiers[0].Name())
	}
	r.Verifiers[1].Spec.Source = &v1beta1.PluginSource{Artifact: "registry.example.com/plugin:v2"}
	second, _ := b.Build(t.Context(), r)
	third, _ := b.Build(t.Context(), r)
	verifiers := func(s *verification.Snapshot) verifier.ReferenceVerifier { return s.Scope("").Verifiers[0] }
	if verifiers(first) == verifiers(second) || verifiers(second) != verifiers(third) {
		t.Error("a verifier is to be made anew with the program that it runs, once")
	}
}

// A download that failed is tried again without any change, ever more seldom, and keeps other changes from taking effect no more than that often.
func TestFailedDownloadIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBuilder()
		away := fmt.Errorf("plugin %w: the registry is away", config.ErrDownload)
		tries := 0
		inner := b.Factories.Verifiers["opinion"]
		b.Factories.Verifiers["opinion"] = func(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
			if c["source"] != nil {
				if tries++; away != nil {
					return nil, away
				}
			}
			return inner(ctx, c, in)
		}
		r := cluster()
		r.KeyManagementProviders = nil
		r.Verifiers = []v1beta1.Verifier{clusterVerifier("plugin", `{"good": true}`)}
		r.Verifiers[0].Spec.Source = &v1beta1.PluginSource{Artifact: "registry.example.com/plugin:v1"}
		build := func() map[string]string {
			_, statuses := b.Build(t.Context(), r)
			return errorsOf(statuses)
		}
		begin := time.Now()
		for range 3 {
			build()
		}
		var at []time.Duration
		for range 8 {
			time.Sleep(time.Until(b.Due()))
			at = append(at, time.Since(begin).Round(time.Second))
			asked := 0
			b.Refresh(t.Context(), func(bool) { asked++ })()
			if asked != 1 || !b.Due().IsZero() {
				t.Fatalf("asked for a Build %d times, due again at %s", asked, b.Due())
			}
			for range 3 {
				build()
			}
		}
		if got := fmt.Sprint(at); got != "[30s 1m30s 3m30s 7m30s 15m30s 25m30s 35m30s 45m30s]" || tries != 9 {
			t.Errorf("tried %d times, at %s", tries, got)
		}

		r.Verifiers[0].Spec.Source = &v1beta1.PluginSource{Artifact: "registry.example.com/plugin:v2"}
		if build(); tries != 10 {
			t.Error("what was edited was not tried at once")
		}
		away = nil
		time.Sleep(time.Until(b.Due()))
		if told := build(); len(told) > 0 || !b.Due().IsZero() {
			t.Errorf("the registry is back: %v, due %s", told, b.Due())
		}
	})
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
