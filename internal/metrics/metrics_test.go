package metrics

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d", w.Code)
	}
	return w.Body.String()
}

// The names are what upstream v1.4.6 exposes for dashboards and alerts.
func TestUpstreamNames(t *testing.T) {
	m := New()
	m.VerifyRequest(12 * time.Millisecond)
	m.MutateRequest(12 * time.Millisecond)
	m.Verifier("notation", "ns", 12*time.Millisecond, true, false)
	m.SystemError("undetermined")
	m.RegistryRequest("registry.example.com", 200)
	m.ContentCache(true)
	text := scrape(t, m)
	for _, line := range []string{
		`ratify_verification_request_millisecond_bucket{le="30"} 1`,
		`ratify_mutation_request_millisecond_sum 12`,
		`ratify_verifier_duration_millisecond_count{error="false",success="true",verifier="notation",workload_namespace="ns"} 1`,
		`ratify_system_error_count_total{error="undetermined",workload_namespace=""} 1`,
		`ratify_registry_request_count_total{registry_host="registry.example.com",status_code="200",workload_namespace=""} 1`,
		`ratify_blob_cache_count_total{hit="true",workload_namespace=""} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing %s", line)
		}
	}
}

func TestHostsAreBounded(t *testing.T) {
	m := New()
	for i := range 3 * maxHosts {
		m.RegistryRequest(fmt.Sprintf("host-%d", i), 200)
	}
	text := scrape(t, m)
	if n := strings.Count(text, "\nratify_registry_request_count_total{"); n != maxHosts+1 {
		t.Errorf("%d hosts, want %d and %q", n, maxHosts, other)
	}
	if !strings.Contains(text, fmt.Sprintf(`registry_host="other",status_code="200",workload_namespace=""} %d`, 2*maxHosts)) {
		t.Error("the other hosts are not counted together")
	}
}

// A constraint template may pass on what stands in a pod as a key, and with it a namespace that does not exist.
func TestNamespacesAreBounded(t *testing.T) {
	m := New()
	for i := range maxNamespaces + 50 {
		m.Verdict("refused", fmt.Sprintf("namespace-%d", i))
		m.Verifier("notation", fmt.Sprintf("namespace-%d", i), time.Millisecond, false, false)
	}
	if n := len(m.counters.of); n != maxNamespaces {
		t.Errorf("%d counters are held", n)
	}
	text := scrape(t, m)
	for _, name := range []string{"ratify_verdict_count_total", "ratify_verifier_duration_millisecond_count"} {
		if n := strings.Count(text, "\n"+name+"{"); n != maxNamespaces+1 {
			t.Errorf("%s: %d namespaces, want %d and %q", name, n, maxNamespaces, other)
		}
	}
}

func TestKeyProviders(t *testing.T) {
	m := New()
	m.KeyProviders([]KeyProvider{{Name: "gone", Expires: time.Unix(1, 0), Degraded: true}})
	m.KeyProviders([]KeyProvider{{Name: "kms", Expires: time.Unix(2000000000, 0)}, {Name: "team/keys", Degraded: true}})
	text := scrape(t, m)
	for _, line := range []string{
		`ratify_certificate_expiry_timestamp_seconds{key_management_provider="kms"} 2e+09`,
		`ratify_key_management_provider_degraded{key_management_provider="kms"} 0`,
		`ratify_key_management_provider_degraded{key_management_provider="team/keys"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("missing %s", line)
		}
	}
	for _, label := range []string{"gone", `expiry_timestamp_seconds{key_management_provider="team/keys"`} {
		if strings.Contains(text, label) {
			t.Errorf("there is %s", label)
		}
	}
	var many []KeyProvider
	for i := range maxKeyProviders + 1 {
		many = append(many, KeyProvider{Name: fmt.Sprint(i)})
	}
	m.KeyProviders(many)
	if n := strings.Count(scrape(t, m), "\nratify_key_management_provider_degraded{"); n != maxKeyProviders {
		t.Errorf("%d providers, want %d", n, maxKeyProviders)
	}
}

// What each request counts.
func BenchmarkRequest(b *testing.B) {
	m := New()
	b.ReportAllocs()
	for b.Loop() {
		m.VerifyRequest(time.Millisecond)
		m.Verdict("verified", "shop")
	}
}

// What each image that is verified anew counts.
func BenchmarkImage(b *testing.B) {
	m := New()
	b.ReportAllocs()
	for b.Loop() {
		m.Verifier("notation", "shop", time.Millisecond, true, false)
		for range 4 {
			m.RegistryRequest("registry.example.com", 200)
		}
		m.ContentCache(false)
		m.ContentCache(false)
	}
}
