package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/ratify-project/ratify/api/v1beta1"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

func TestNamespacesReplaceTheClustersByKind(t *testing.T) {
	b, _ := newBuilder()
	r := cluster()
	r.NamespacedVerifiers = []v1beta1.NamespacedVerifier{tenantVerifier("strict", "own", `{"good": false}`), tenantVerifier("both", "own", `{"good": true}`)}
	r.NamespacedStores = []v1beta1.NamespacedStore{
		{ObjectMeta: meta("both", "b"), Spec: v1beta1.NamespacedStoreSpec{Name: "signed", Version: "2", Parameters: raw(`{"label": "b "}`)}},
		{ObjectMeta: meta("both", "a"), Spec: v1beta1.NamespacedStoreSpec{Name: "signed", Parameters: raw(`{"label": "a "}`)}},
	}
	r.NamespacedPolicies = []v1beta1.NamespacedPolicy{{ObjectMeta: meta("policy", "ratify-policy"),
		Spec: v1beta1.NamespacedPolicySpec{Type: "configPolicy", Parameters: raw(`{"artifactVerificationPolicies": {"application/spdx+json": "all"}}`)}}}
	s, statuses := b.Build(t.Context(), r)
	if told := errorsOf(statuses); len(told) > 0 || len(statuses) != 9 {
		t.Fatalf("%d statuses, errors %v", len(statuses), told)
	}
	for namespace, want := range map[string]verification.Outcome{
		"": verification.Verified, "another": verification.Verified, "strict": verification.Refused, "both": verification.Verified, "policy": verification.Refused,
	} {
		if v := outcome(t, s, namespace); v.Outcome != want {
			t.Errorf("namespace %q: %s %v, want %s", namespace, v.Outcome, v.Err, want)
		}
	}
	stores := s.Scope("both").Stores
	if len(stores) != 2 || stores[0].Name() != "a 1.0.0" || stores[1].Name() != "b 2" {
		t.Errorf("stores %v, want a and b in order, with their versions", stores)
	}
	if s.Generation() != 1 {
		t.Errorf("generation %d", s.Generation())
	}
}

func TestKeyMaterialOfAnotherNamespaceIsNotRead(t *testing.T) {
	for name, tt := range map[string]struct{ namespace, trust, want string }{
		"own":                    {"team", "team/kmp", ""},
		"the cluster's":          {"team", "kmp", ""},
		"another's":              {"team", "other/kmp", `NamespacedVerifier team/own: trust: key management provider "other/kmp" is of another namespace`},
		"prefix of own":          {"team", "tea/kmp", "another namespace"},
		"cluster, a namespace's": {"", "team/kmp", `Verifier own: trust: key management provider "team/kmp" belongs to a namespace`},
		"missing":                {"team", "gone", `there is no key management provider "gone"`},
		"not usable":             {"team", "team/broken", `key management provider "team/broken" cannot be used: value is missing`},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBuilder()
			r := cluster()
			for _, namespace := range []string{"team", "other", "tea"} {
				r.NamespacedKeyManagementProviders = append(r.NamespacedKeyManagementProviders, v1beta1.NamespacedKeyManagementProvider{
					ObjectMeta: meta(namespace, "kmp"), Spec: v1beta1.NamespacedKeyManagementProviderSpec{Type: "vault", Parameters: raw(`{"value": 1}`)}})
			}
			r.NamespacedKeyManagementProviders = append(r.NamespacedKeyManagementProviders, v1beta1.NamespacedKeyManagementProvider{
				ObjectMeta: meta("team", "broken"), Spec: v1beta1.NamespacedKeyManagementProviderSpec{Type: "vault"}})
			parameters := `{"good": true, "trust": "` + tt.trust + `"}`
			if tt.namespace == "" {
				r.Verifiers = []v1beta1.Verifier{clusterVerifier("own", parameters)}
			} else {
				r.NamespacedVerifiers = []v1beta1.NamespacedVerifier{tenantVerifier(tt.namespace, "own", parameters)}
			}
			s, statuses := b.Build(t.Context(), r)
			var said string
			for _, status := range statuses {
				if status.ID.Kind == kindVerifier && status.ID.Name == "own" && status.Err != nil {
					said = status.ID.String() + ": " + status.Err.Error()
				}
			}
			v := outcome(t, s, tt.namespace)
			if tt.want == "" {
				if said != "" || v.Outcome != verification.Verified {
					t.Errorf("%s %v: %s", v.Outcome, v.Err, said)
				}
				return
			}
			if !strings.Contains(said, tt.want) {
				t.Errorf("status %q, want %q", said, tt.want)
			}
			if v.Outcome != verification.Undetermined || !strings.Contains(v.Err.Error(), "cannot be used") {
				t.Errorf("%s %v, want it undetermined", v.Outcome, v.Err)
			}
		})
	}
}

// Resources are edited into mistakes: what was made of them before stays in use, but never without its key material.
func TestMistakes(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(r *Resources)
		at   string // the resource whose status tells
		says string
		// The outcome with the last good one in use, and without.
		after, atStart verification.Outcome
	}{
		"verifier's parameters": {func(r *Resources) { r.Verifiers[0].Spec.Parameters = raw(`{"good": "yes"}`) },
			"Verifier verifier", "good must be true or false", verification.Verified, verification.Undetermined},
		"verifier's parameters are a list": {func(r *Resources) { r.Verifiers[0].Spec.Parameters = raw(`[]`) },
			"Verifier verifier", "spec.parameters must be a block of keys", verification.Verified, verification.Undetermined},
		"verifier's parameters are null": {func(r *Resources) { r.Verifiers[0].Spec.Parameters = raw(`null`) },
			"Verifier verifier", "spec.parameters must be a block of keys", verification.Verified, verification.Undetermined},
		"verifier's type": {func(r *Resources) { r.Verifiers[0].Spec.Type = "gone" },
			"Verifier verifier", `type: "gone" is not one of opinion`, verification.Verified, verification.Undetermined},
		"store": {func(r *Resources) { r.Stores[0].Spec.Parameters = raw(`{"broken": 1}`) },
			"Store store-oras", "broken is not a parameter", verification.Verified, verification.Undetermined},
		"policy": {func(r *Resources) { r.Policies[0].Spec.Parameters = raw(`{"artifactVerificationPolicies": 7}`) },
			"Policy ratify-policy", "artifactVerificationPolicies", verification.Verified, verification.Undetermined},
		"policy without parameters": {func(r *Resources) { r.Policies[0].Spec.Parameters = raw(``) },
			"Policy ratify-policy", "spec.parameters is missing", verification.Verified, verification.Undetermined},
		"key material is gone": {func(r *Resources) { r.KeyManagementProviders = nil },
			"Verifier verifier", `there is no key management provider "kmp"`, verification.Undetermined, verification.Undetermined},
		"verifier without key material, for something else": {func(r *Resources) {
			r.KeyManagementProviders = nil
			r.Verifiers[0].Spec.ArtifactTypes, r.Verifiers[0].Spec.Parameters = "something/else", raw(`{}`)
		}, "Verifier verifier", "good must be true or false", verification.Undetermined, verification.Refused},
		"key material is wrong": {func(r *Resources) { r.KeyManagementProviders[0].Spec.Parameters = raw(`{}`) },
			"KeyManagementProvider kmp", "value is missing", verification.Undetermined, verification.Undetermined},
		"key material of an unknown type": {func(r *Resources) { r.KeyManagementProviders[0].Spec.Type = "gone" },
			"KeyManagementProvider kmp", `type: "gone" is not one of vault`, verification.Undetermined, verification.Undetermined},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBuilder()
			if s, statuses := b.Build(t.Context(), cluster()); outcome(t, s, "").Outcome != verification.Verified {
				t.Fatalf("before: %v", errorsOf(statuses))
			}
			wrong := cluster()
			tt.edit(&wrong)
			fresh, _ := newBuilder()
			for builder, want := range map[*Builder]verification.Outcome{b: tt.after, fresh: tt.atStart} {
				s, statuses := builder.Build(t.Context(), wrong)
				if told := errorsOf(statuses)[tt.at]; !strings.Contains(told, tt.says) {
					t.Errorf("%s: %q, want %q", tt.at, told, tt.says)
				}
				if v := outcome(t, s, ""); v.Outcome != want {
					t.Errorf("%s %v, want %s", v.Outcome, v.Err, want)
				}
			}
			// A correction is taken at once.
			if s, statuses := b.Build(t.Context(), cluster()); outcome(t, s, "").Outcome != verification.Verified || len(errorsOf(statuses)) > 0 {
				t.Errorf("corrected: %v", errorsOf(statuses))
			}
		})
	}
}

// What stays in use while its resource cannot be read goes by the key material that there is now.
func TestLastOneGoesByTheKeyMaterialOfNow(t *testing.T) {
	b, _ := newBuilder()
	r := cluster()
	for i, step := range []struct {
		verifier, material string
		want               verification.Outcome
	}{
		{`{"good": true, "trust": "kmp"}`, `{"value": 1}`, verification.Verified},
		{`{"good": "yes", "trust": "kmp"}`, `{"value": 1}`, verification.Verified}, // the last one
		{`{"good": "yes", "trust": "kmp"}`, `{"value": "empty"}`, verification.Undetermined},
		{`{"good": "yes", "trust": "kmp"}`, `{"value": 2}`, verification.Verified}, // the last one again
		{`{"good": true, "trust": "gone"}`, `{"value": 2}`, verification.Verified},
		{`{"good": true, "trust": "kmp"}`, `{"value": "empty"}`, verification.Undetermined},
		{`{"good": false, "trust": "kmp"}`, `{"value": 1}`, verification.Refused},
	} {
		r.Verifiers[0].Spec.Parameters, r.KeyManagementProviders[0].Spec.Parameters = raw(step.verifier), raw(step.material)
		s, statuses := b.Build(t.Context(), r)
		if v := outcome(t, s, ""); v.Outcome != step.want {
			t.Errorf("step %d: %s %v %v, want %s", i, v.Outcome, v.Err, errorsOf(statuses), step.want)
		}
	}
}

// What was deleted is gone, also if another resource has its name before the next Build.
func TestRecreatedResourceInheritsNothing(t *testing.T) {
	for name, recreate := range map[string]func(*Resources){
		"store": func(r *Resources) {
			r.Stores[0].UID, r.Stores[0].Spec.Parameters = "2", raw(`{"broken": true}`)
		},
		"verifier": func(r *Resources) {
			r.Verifiers[0].UID, r.Verifiers[0].Spec.Parameters = "2", raw(`{"good": 1}`)
		},
		"policy": func(r *Resources) {
			r.Policies[0].UID, r.Policies[0].Spec.Parameters = "2", raw(`{}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBuilder()
			_, _ = b.Build(t.Context(), cluster())
			r := cluster()
			recreate(&r)
			s, statuses := b.Build(t.Context(), r)
			if v := outcome(t, s, ""); v.Outcome != verification.Undetermined || len(errorsOf(statuses)) != 1 {
				t.Errorf("%s %v %v", v.Outcome, v.Err, errorsOf(statuses))
			}
		})
	}
	b, fetched := newBuilder()
	_, _ = b.Build(t.Context(), cluster())
	r := cluster()
	r.KeyManagementProviders[0].UID = "2"
	if _, _ = b.Build(t.Context(), r); fetched.Load() != 2 {
		t.Errorf("the key management provider was read %d times, want 2", fetched.Load())
	}
}

func TestOneTenantsMistakeIsItsOwn(t *testing.T) {
	b, _ := newBuilder()
	r := cluster()
	r.NamespacedVerifiers = []v1beta1.NamespacedVerifier{
		tenantVerifier("careless", "own", `{"good": 1}`),
		tenantVerifier("careful", "own", `{"good": true}`),
	}
	s, _ := b.Build(t.Context(), r)
	for namespace, want := range map[string]verification.Outcome{"": verification.Verified, "careful": verification.Verified, "careless": verification.Undetermined} {
		if v := outcome(t, s, namespace); v.Outcome != want {
			t.Errorf("namespace %q: %s %v, want %s", namespace, v.Outcome, v.Err, want)
		}
	}
}

func TestPolicyCountsUnderItsNameOnly(t *testing.T) {
	b, _ := newBuilder()
	r := cluster()
	r.Policies = append(r.Policies, v1beta1.Policy{ObjectMeta: meta("", "another"), Spec: v1beta1.PolicySpec{Type: "configPolicy", Parameters: raw(`{"artifactVerificationPolicies": {"x": "all"}}`)}})
	s, statuses := b.Build(t.Context(), r)
	if told := errorsOf(statuses)["Policy another"]; !strings.Contains(told, "ratify-policy") {
		t.Errorf("status %q", told)
	}
	if v := outcome(t, s, ""); v.Outcome != verification.Verified {
		t.Errorf("%s %v", v.Outcome, v.Err)
	}
}

// Stores keep their connections and tokens, and key material is not read again, as long as their resources do not change.
func TestWhatDoesNotChangeIsKept(t *testing.T) {
	b, fetched := newBuilder()
	first, _ := b.Build(t.Context(), cluster())
	second, _ := b.Build(t.Context(), cluster())
	changed := cluster()
	changed.Stores[0].Spec.Parameters = raw(`{"label": "changed "}`)
	changed.KeyManagementProviders[0].Spec.Parameters = raw(`{"value": 2}`)
	third, _ := b.Build(t.Context(), changed)
	stores := []any{first.Scope("").Stores[0], second.Scope("").Stores[0], third.Scope("").Stores[0]}
	if stores[0] != stores[1] || stores[1] == stores[2] {
		t.Errorf("stores %v", stores)
	}
	if got := fetched.Load(); got != 2 {
		t.Errorf("key material was read %d times, want 2", got)
	}
}

func FuzzParameters(f *testing.F) {
	f.Add(`{"good": true, "mandatory": true}`, `{"value": 1}`)
	f.Add(`null`, `[]`)
	f.Add(`{"mandatory": {"a": []}, "trust": 3}`, `"x"`)
	f.Fuzz(func(t *testing.T, verifierParameters, others string) {
		b, _ := newBuilder()
		r := cluster()
		r.Verifiers = []v1beta1.Verifier{clusterVerifier("verifier", verifierParameters)}
		r.Policies[0].Spec.Parameters, r.Stores[0].Spec.Parameters, r.KeyManagementProviders[0].Spec.Parameters = raw(others), raw(others), raw(others)
		s, statuses := b.Build(t.Context(), r)
		if len(statuses) != 4 {
			t.Fatalf("%d statuses", len(statuses))
		}
		told := errorsOf(statuses)
		delete(told, "KeyManagementProvider kmp") // which the verifier need not use
		if v := outcome(t, s, ""); len(told) > 0 && v.Outcome == verification.Verified {
			t.Errorf("verified with %v", told)
		}
	})
}

// Statuses tell what stays in use, and when key material was read.
func TestStatuses(t *testing.T) {
	b, _ := newBuilder()
	begin := time.Now()
	b.Build(t.Context(), cluster())
	wrong := cluster()
	wrong.Stores[0].Spec.Parameters = raw(`{"broken": 1}`)
	wrong.Stores = append(wrong.Stores, v1beta1.Store{ObjectMeta: meta("", "new"), Spec: wrong.Stores[0].Spec})
	_, statuses := b.Build(t.Context(), wrong)
	kept, read := make(map[string]bool), 0
	for _, s := range statuses {
		kept[s.ID.String()] = s.Kept
		if s.ReadAt.After(begin) {
			read++
		}
	}
	if !kept["Store store-oras"] || kept["Store new"] || kept["Policy ratify-policy"] || kept["KeyManagementProvider kmp"] {
		t.Errorf("kept: %v", kept)
	}
	if providers := b.KeyProviders(); read != 1 || len(providers) != 1 || providers[0].ReadAt.Before(begin) {
		t.Errorf("%d were read: %+v", read, providers)
	}
}
