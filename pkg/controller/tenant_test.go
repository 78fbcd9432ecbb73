package controller

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratify-project/ratify/api/v1beta1"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// A tenant's providers that hang delay the configuration no longer than one provider may, and cost no other tenant anything.
func TestHangingKeyMaterialIsItsTenantsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBuilder()
		r := cluster()
		add := func(namespace, name, value string) {
			r.NamespacedKeyManagementProviders = append(r.NamespacedKeyManagementProviders, v1beta1.NamespacedKeyManagementProvider{
				ObjectMeta: meta(namespace, name), Spec: v1beta1.NamespacedKeyManagementProviderSpec{Type: "vault", Parameters: raw(value)}})
		}
		for i := range 40 {
			add("careless", fmt.Sprint("kmp", i), `{"value": "hangs"}`)
		}
		add("late", "kmp", `{"value": 1}`)
		r.NamespacedVerifiers = []v1beta1.NamespacedVerifier{tenantVerifier("late", "own", `{"good": true, "trust": "late/kmp"}`)}
		start := time.Now()
		s, _ := b.Build(t.Context(), r)
		if took := time.Since(start); took > firstReadTimeout {
			t.Errorf("it took %s", took)
		}
		for _, namespace := range []string{"", "late"} {
			if v := outcome(t, s, namespace); v.Outcome != verification.Verified {
				t.Errorf("namespace %q: %s %v", namespace, v.Outcome, v.Err)
			}
		}
	})
}

// late is a key management provider that cannot be read the first time.
type late struct{ vault }

func (l late) GetCertificates(ctx context.Context) (map[keymanagementprovider.KMPMapKey][]*x509.Certificate, keymanagementprovider.KeyManagementProviderStatus, error) {
	if l.fetched.Load() == 0 {
		l.fetched.Add(1)
		return nil, nil, errors.New("not yet")
	}
	return l.vault.GetCertificates(ctx)
}

// What changes in key material is told, and read again when it is due, while other providers hang.
func TestRefreshDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newBuilder()
		b.Factories.KeyManagementProviders["late"] = func(kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
			return late{vault{fetched: new(atomic.Int64)}}, nil
		}
		provider := &rotating{certificates: []string{"one"}}
		b.Factories.KeyManagementProviders["rotating"] = func(kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
			return provider, nil
		}
		r := cluster()
		r.KeyManagementProviders[0].Spec.Type = "late"
		r.KeyManagementProviders = append(r.KeyManagementProviders,
			v1beta1.KeyManagementProvider{ObjectMeta: meta("", "hangs"), Spec: v1beta1.KeyManagementProviderSpec{Type: "vault", Parameters: raw(`{"value": "hangs"}`)}},
			v1beta1.KeyManagementProvider{ObjectMeta: meta("", "rotating"), Spec: v1beta1.KeyManagementProviderSpec{Type: "rotating", RefreshInterval: "10s"}})
		r.NamespacedKeyManagementProviders = []v1beta1.NamespacedKeyManagementProvider{{
			ObjectMeta: meta("careless", "kmp"), Spec: v1beta1.NamespacedKeyManagementProviderSpec{Type: "vault", Parameters: raw(`{"value": "hangs"}`)},
		}}
		_, _ = b.Build(t.Context(), r)
		begin := time.Now()
		var mu sync.Mutex
		var told []string
		var waits []func()
		for time.Since(begin) < 45*time.Second {
			due := b.Due()
			time.Sleep(time.Until(due))
			if time.Since(due) > 0 {
				t.Errorf("%s late", time.Since(due))
			}
			provider.certificates = []string{time.Now().String()}
			start := time.Now()
			waits = append(waits, b.Refresh(t.Context(), func(changed bool) {
				mu.Lock()
				defer mu.Unlock()
				if !changed {
					return
				}
				told = append(told, time.Since(begin).String())
				if took := time.Since(start); took > 0 {
					t.Errorf("told after %s", took)
				}
			}))
			synctest.Wait()
		}
		// The first read of all took 5 s. Every 10 s one, and 30 s after its first read the one that was late.
		if got := strings.Join(told, " "); got != "5s 15s 25s 25s 35s 45s" {
			t.Errorf("told at %s", got)
		}
		if s, _ := b.Build(t.Context(), r); outcome(t, s, "").Outcome != verification.Verified {
			t.Error("the cluster's images cannot be verified")
		}
		for _, wait := range waits {
			wait()
		}
	})
}

// Who may write in a namespace does not choose which programs run here.
func TestTenantsChooseNoPrograms(t *testing.T) {
	const says = "only cluster-wide resources can"
	for name, tt := range map[string]struct {
		spec v1beta1.NamespacedVerifierSpec
		says string
	}{
		"the directory there is": {v1beta1.NamespacedVerifierSpec{Address: config.PluginDir() + "/"}, ""},
		"another directory":      {v1beta1.NamespacedVerifierSpec{Address: "/bin"}, says},
		"below the directory":    {v1beta1.NamespacedVerifierSpec{Address: config.PluginDir() + "/../../bin"}, says},
		"a source":               {v1beta1.NamespacedVerifierSpec{Source: &v1beta1.PluginSource{Artifact: "registry.example/plugin:v1"}}, says},
		"a source in parameters": {v1beta1.NamespacedVerifierSpec{Parameters: raw(`{"good": true, "source": {"artifact": "registry.example/plugin:v1"}}`)}, says},
	} {
		t.Run(name, func(t *testing.T) {
			tt.spec.Name, tt.spec.ArtifactTypes = "opinion", signature
			if tt.spec.Parameters.Raw == nil {
				tt.spec.Parameters = raw(`{"good": true}`)
			}
			b, _ := newBuilder()
			r := cluster()
			r.NamespacedVerifiers = []v1beta1.NamespacedVerifier{{ObjectMeta: meta("team", "own"), Spec: tt.spec}}
			r.NamespacedStores = []v1beta1.NamespacedStore{{ObjectMeta: meta("team", "own"),
				Spec: v1beta1.NamespacedStoreSpec{Name: "signed", Address: tt.spec.Address, Source: tt.spec.Source, Parameters: tt.spec.Parameters}}}
			s, statuses := b.Build(t.Context(), r)
			told, want := errorsOf(statuses), verification.Undetermined
			if tt.says == "" {
				want = verification.Verified
			}
			for _, id := range []string{"NamespacedVerifier team/own", "NamespacedStore team/own"} {
				if got := told[id]; !strings.Contains(got, tt.says) || (got == "") != (tt.says == "") {
					t.Errorf("%s: %q, want %q", id, got, tt.says)
				}
			}
			if v := outcome(t, s, "team"); v.Outcome != want {
				t.Errorf("%s %v, want %s", v.Outcome, v.Err, want)
			}
		})
	}
}

// A tenant's policy reads no files and reaches nobody; the cluster's may.
func TestTenantsPolicyStaysInside(t *testing.T) {
	rego := func(body string) string {
		return `package ratify.policy
default valid := false
valid { ` + body + ` }`
	}
	file := filepath.Join(t.TempDir(), "policy.rego")
	if err := os.WriteFile(file, []byte(rego("true")), 0o600); err != nil {
		t.Fatal(err)
	}
	send := rego(`http.send({"method": "GET", "url": "http://127.0.0.1:1/"}).status_code == 200`)
	for name, tt := range map[string]struct {
		key, value    string
		says, cluster string
	}{
		"reads reports":      {"policy", rego("not any_failed }\nany_failed { input.verifierReports[_].verifierReports[_].isSuccess == false"), "", ""},
		"version 1":          {"policy", "package ratify.policy\nimport rego.v1\ndefault valid := false\nvalid if count(input.verifierReports) > 0", "", ""},
		"sends":              {"policy", send, "undefined function http.send", ""},
		"sends, other case":  {"Policy", send, "undefined function http.send", ""},
		"sends by index":     {"policy", rego(`http["send"]({"method": "GET", "url": "http://x/"})`), "undefined function http.send", ""},
		"looks up":           {"policy", rego(`net.lookup_ip_addr("secret.example")`), "undefined function net.lookup_ip_addr", ""},
		"asks about runtime": {"policy", rego(`opa.runtime().env.SECRET`), "undefined function opa.runtime", ""},
		"file":               {"policyPath", file, "only cluster-wide resources can have files read", ""},
		"is none":            {"policy", "package", "rego_parse_error", "policy"},
	} {
		t.Run(name, func(t *testing.T) {
			parameters, err := json.Marshal(map[string]string{tt.key: tt.value})
			if err != nil {
				t.Fatal(err)
			}
			b, _ := newBuilder()
			r := cluster()
			r.Policies[0].Spec = v1beta1.PolicySpec{Type: "regopolicy", Parameters: raw(string(parameters))}
			r.NamespacedPolicies = []v1beta1.NamespacedPolicy{{ObjectMeta: meta("team", policyName),
				Spec: v1beta1.NamespacedPolicySpec{Type: "regopolicy", Parameters: raw(string(parameters))}}}
			_, statuses := b.Build(t.Context(), r)
			told := errorsOf(statuses)
			for id, want := range map[string]string{"Policy ratify-policy": tt.cluster, "NamespacedPolicy team/ratify-policy": tt.says} {
				if got := told[id]; !strings.Contains(got, want) || (got == "") != (want == "") {
					t.Errorf("%s: %q, want %q", id, got, want)
				}
			}
		})
	}
}

func TestMandatory(t *testing.T) {
	strict := `{"good": false, "mandatory": true}`
	for name, tt := range map[string]struct {
		cluster, tenant string // parameters of the verifiers
		want            verification.Outcome
		at, says        string
	}{
		"not mandatory":                 {`{"good": false}`, `{"good": true}`, verification.Verified, "", ""},
		"explicitly not mandatory":      {`{"good": false, "mandatory": false}`, `{"good": true}`, verification.Verified, "", ""},
		"mandatory":                     {strict, `{"good": true}`, verification.Refused, "", ""},
		"mandatory and satisfied":       {`{"good": true, "Mandatory": true}`, `{"good": true}`, verification.Verified, "", ""},
		"mandatory is not a truth":      {`{"good": true, "mandatory": "yes"}`, `{"good": true}`, verification.Undetermined, "Verifier verifier", "spec.parameters.mandatory is yes: it must be true or false"},
		"mandatory, but not usable":     {`{"good": 7, "mandatory": true}`, `{"good": true}`, verification.Undetermined, "Verifier verifier", "good must be"},
		"a tenant's cannot be":          {`{"good": false}`, `{"good": true, "mandatory": true}`, verification.Undetermined, "NamespacedVerifier team/own", "only cluster-wide"},
		"a tenant's that is no truth":   {`{"good": true}`, `{"good": true, "mandatory": 1}`, verification.Undetermined, "NamespacedVerifier team/own", "must be true or false"},
		"a tenant's explicitly is none": {`{"good": false}`, `{"good": true, "mandatory": false}`, verification.Verified, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBuilder()
			r := cluster()
			r.Verifiers = []v1beta1.Verifier{clusterVerifier("verifier", tt.cluster)}
			r.NamespacedVerifiers = []v1beta1.NamespacedVerifier{tenantVerifier("team", "own", tt.tenant), tenantVerifier("another", "own", `{"good": true}`)}
			s, statuses := b.Build(t.Context(), r)
			if v := outcome(t, s, "team"); v.Outcome != tt.want {
				t.Errorf("%s %v, want %s", v.Outcome, v.Err, tt.want)
			}
			if told := errorsOf(statuses)[tt.at]; !strings.Contains(told, tt.says) {
				t.Errorf("status %q, want %q", told, tt.says)
			}
			// What a tenant writes makes nothing mandatory for another.
			if v := outcome(t, s, "another"); strings.HasPrefix(tt.at, "Namespaced") && v.Outcome != verification.Verified {
				t.Errorf("another tenant: %s %v", v.Outcome, v.Err)
			}
		})
	}
}

func TestMandatoryPolicy(t *testing.T) {
	for name, tt := range map[string]struct {
		parameters string
		want       verification.Outcome
	}{
		"not mandatory": {`{"artifactVerificationPolicies": {"application/spdx+json": "all"}}`, verification.Verified},
		"mandatory":     {`{"artifactVerificationPolicies": {"application/spdx+json": "all"}, "mandatory": true}`, verification.Refused},
		"no truth":      {`{"artifactVerificationPolicies": {"application/spdx+json": "all"}, "mandatory": 0}`, verification.Undetermined},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBuilder()
			r := cluster()
			r.Policies[0].Spec.Parameters = raw(tt.parameters)
			r.NamespacedPolicies = []v1beta1.NamespacedPolicy{{ObjectMeta: meta("team", "ratify-policy"),
				Spec: v1beta1.NamespacedPolicySpec{Type: "configPolicy", Parameters: raw(anySignature)}}}
			s, _ := b.Build(t.Context(), r)
			if v := outcome(t, s, "team"); v.Outcome != tt.want {
				t.Errorf("%s %v, want %s", v.Outcome, v.Err, tt.want)
			}
		})
	}
}

// What is mandatory stays so while its resource cannot be read.
func TestMandatoryOutlivesMistakes(t *testing.T) {
	b, _ := newBuilder()
	r := cluster()
	r.NamespacedVerifiers = []v1beta1.NamespacedVerifier{tenantVerifier("team", "own", `{"good": true}`)}
	for _, parameters := range []string{`{"good": false, "mandatory": true}`, `{"good": 7}`} {
		r.Verifiers = []v1beta1.Verifier{clusterVerifier("verifier", parameters)}
		s, _ := b.Build(t.Context(), r)
		if v := outcome(t, s, "team"); v.Outcome != verification.Refused {
			t.Errorf("%s: %s %v", parameters, v.Outcome, v.Err)
		}
	}
	r.Verifiers = []v1beta1.Verifier{clusterVerifier("verifier", `{"good": false}`)}
	if s, _ := b.Build(t.Context(), r); outcome(t, s, "team").Outcome != verification.Verified {
		t.Error("it is not mandatory any more")
	}
}

// The auth providers of a tenant's store have the identity of the whole cluster's verification. A tenant does not say where its credentials go.
func TestTenantsSendCredentialsNowhere(t *testing.T) {
	const only = "only cluster-wide resources can"
	for parameters, says := range map[string]string{
		`{}`: "",
		`{"authProvider": {"name": "alibabacloudAcrBasic", "defaultInstanceId": "cri-a", "acrInstancesConfig": [{"instanceName": "a", "instanceId": "cri-b", "region": "cn-hangzhou"}]}}`: "",
		`{"authProviders": [{"name": "dockerConfig"}, {"name": "azureWorkloadIdentity", "clientID": "x", "registries": ["*.azurecr.io"]}]}`:                                               "",
		`{"authProvider": {"name": "alibabacloudAcrBasic", "stsEndpoint": "evil.example"}}`:                                                                                               "spec.parameters.authProvider.stsEndpoint: " + only,
		`{"AuthProvider": {"name": "alibabacloudAcrBasic", "Endpoint": "evil.example"}}`:                                                                                                  "spec.parameters.AuthProvider.Endpoint: " + only,
		`{"authProvider": {"name": "alibabacloudAcrBasic", "acrInstancesConfig": [{"domains": ["evil.example"]}]}}`:                                                                       "spec.parameters.authProvider.acrInstancesConfig[0].domains: " + only,
		`{"authProvider": {"name": "alibabacloudAcrBasic", "acrInstancesConfig": {"name1": {"endpoint": "evil.example"}}}}`:                                                               only,
		`{"authProvider": {"name": "alibabacloudAcrBasic", "oidcTokenFile": "/etc/passwd"}}`:                                                                                              only,
		`{"authProvider": {"name": "alibabacloudAcrBasic", "credential": {"type": "credentials_uri"}}}`:                                                                                   only,
		`{"authProviders": [{"name": "dockerConfig"}, {"name": "azureWorkloadIdentity", "endpoints": ["evil.example"]}]}`:                                                                 "spec.parameters.authProviders[1].endpoints: " + only,
		`{"authProvider": {"name": "dockerConfig", "configPath": "/etc/other"}}`:                                                                                                          only,
		`{"authProvider": {"name": "k8Secrets", "secrets": [{"secretName": "a"}, {"secretName": "b", "namespace": "team"}]}}`:                                                             "",
		`{"authProvider": {"name": "k8Secrets", "secrets": [{"secretName": "a", "namespace": "other"}]}}`:                                                                                 "spec.parameters.authProvider.secrets[0].namespace: Secrets of namespace other cannot be used in team",
		`{"localCachePath": "/etc"}`: "spec.parameters.localCachePath: " + only,
	} {
		b, _ := newBuilder()
		r := cluster()
		r.NamespacedStores = []v1beta1.NamespacedStore{{ObjectMeta: meta("team", "own"), Spec: v1beta1.NamespacedStoreSpec{Name: "signed", Parameters: raw(parameters)}}}
		r.Stores[0].Spec.Parameters = raw(parameters) // the cluster's may say anything
		s, statuses := b.Build(t.Context(), r)
		told := errorsOf(statuses)
		if got := told["NamespacedStore team/own"]; !strings.Contains(got, says) || (got == "") != (says == "") || told["Store store-oras"] != "" {
			t.Errorf("%s: %v, want %q", parameters, told, says)
		}
		want := verification.Verified
		if says != "" {
			want = verification.Undetermined
		}
		if v := outcome(t, s, "team"); v.Outcome != want {
			t.Errorf("%s: %s %v, want %s", parameters, v.Outcome, v.Err, want)
		}
	}
}

// Who may write in a namespace does not choose where the credentials for KMS go, nor how hard KMS is asked.
func TestTenantsKeyProviders(t *testing.T) {
	for name, tt := range map[string]struct{ kind, interval, parameters, says string }{
		"what a tenant may say": {"alibabacloudkms", "1m", `{"certificates": [], "Keys": [], "region": "cn-hangzhou", "network": "vpc", "timeout": "5s"}`, ""},
		"endpoint":              {"alibabacloudkms", "", `{"Endpoint": "kms.example"}`, "spec.parameters.Endpoint: only cluster-wide"},
		"authority":             {"alibabacloudkms", "", `{"caBundle": ""}`, "spec.parameters.caBundle: only cluster-wide"},
		"credential":            {"alibabacloudkms", "", `{"credential": {}}`, "spec.parameters.credential: only cluster-wide"},
		"token file":            {"alibabacloudkms", "", `{"oidcTokenFile": "/etc/passwd"}`, "spec.parameters.oidcTokenFile: only cluster-wide"},
		"STS":                   {"alibabacloudkms", "", `{"stsEndpoint": "sts.example"}`, "spec.parameters.stsEndpoint: only cluster-wide"},
		"often":                 {"vault", "1s", `{"value": 1}`, "spec.refreshInterval: only cluster-wide"},
		"no interval":           {"vault", "soon", `{"value": 1}`, `refreshInterval is soon: it must be a duration of at least 1s`},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBuilder()
			made := new(atomic.Int64)
			b.Factories.KeyManagementProviders["alibabacloudkms"] = func(kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
				return vault{fetched: made}, nil
			}
			spec := v1beta1.KeyManagementProviderSpec{Type: tt.kind, RefreshInterval: tt.interval, Parameters: raw(tt.parameters)}
			r := Resources{
				KeyManagementProviders: []v1beta1.KeyManagementProvider{{ObjectMeta: meta("", "kmp"), Spec: spec}},
				NamespacedKeyManagementProviders: []v1beta1.NamespacedKeyManagementProvider{
					{ObjectMeta: meta("team", "kmp"), Spec: v1beta1.NamespacedKeyManagementProviderSpec(spec)}},
			}
			_, statuses := b.Build(t.Context(), r)
			told := errorsOf(statuses)
			if got := told["NamespacedKeyManagementProvider team/kmp"]; !strings.Contains(got, tt.says) || (got == "") != (tt.says == "") {
				t.Errorf("status %q, want %q", got, tt.says)
			}
			if got := told["KeyManagementProvider kmp"]; got != "" && tt.interval != "soon" {
				t.Errorf("the cluster's own: %s", got)
			}
		})
	}
}
