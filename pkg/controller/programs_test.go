package controller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratify-project/ratify/api/v1beta1"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

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
