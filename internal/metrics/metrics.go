package metrics

import (
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	// maxHosts bounds the values of label registry_host. Clusters pull from tens of registries; who can create pods can name more.
	maxHosts = 100
	// maxNamespaces bounds the values of label workload_namespace. A key of a request names the namespace, and with some
	// constraint templates it is what stands in a pod as its image.
	maxNamespaces = 500
	// maxKeyProviders bounds the values of label key_management_provider. Namespaces have some of their own.
	maxKeyProviders = 1000
	// other is the value of a label beyond its bound.
	other = "other"
)

// Metrics holds the counters of one process. Make one with New. It is safe for concurrent use.
type Metrics struct {
	registry     *prometheus.Registry
	verification prometheus.Histogram
	mutation     prometheus.Histogram
	verifier     *prometheus.HistogramVec
	systemErrors *prometheus.CounterVec
	registryCall *prometheus.CounterVec
	contentCache *prometheus.CounterVec
	cloudCall    *prometheus.CounterVec
	verdicts     *prometheus.CounterVec
	generation   prometheus.Gauge
	loadErrors   prometheus.Counter
	expiry       *prometheus.GaugeVec
	degraded     *prometheus.GaugeVec

	hosts      *bounded
	namespaces *bounded

	// counters are those of verdicts by outcome and namespace, found at once: each request counts one.
	counters struct {
		sync.RWMutex
		of map[[2]string]prometheus.Counter
	}
}

// New returns Metrics with a registry of their own.
func New() *Metrics {
	histogram := func(name, help string, buckets ...float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}
	}
	counter := func(name, help string) prometheus.CounterOpts { return prometheus.CounterOpts{Name: name, Help: help} }
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		// The buckets are upstream's, so that quantiles of old and new data compare.
		verification: prometheus.NewHistogram(histogram("ratify_verification_request_millisecond", "Duration of a verify request in ms.",
			0, 10, 30, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200, 1400, 1600, 1800, 2000, 2300, 2600, 4000, 4400, 4900)),
		mutation: prometheus.NewHistogram(histogram("ratify_mutation_request_millisecond", "Duration of a mutate request in ms.",
			0, 10, 30, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1100, 1200, 1400, 1600, 1800)),
		verifier: prometheus.NewHistogramVec(histogram("ratify_verifier_duration_millisecond", "Duration of one run of a verifier in ms.",
			0, 10, 50, 100, 200, 300, 400, 600, 800, 1100, 1500, 2000), []string{"verifier", "success", "error", "workload_namespace"}),
		systemErrors: prometheus.NewCounterVec(counter("ratify_system_error_count_total", "Answers with a systemError, by kind."), []string{"error", "workload_namespace"}),
		registryCall: prometheus.NewCounterVec(counter("ratify_registry_request_count_total", "Requests to registries; status 0 is a request without an answer."),
			[]string{"registry_host", "status_code", "workload_namespace"}),
		contentCache: prometheus.NewCounterVec(counter("ratify_blob_cache_count_total", "Look-ups of manifests and blobs in the cache."), []string{"hit", "workload_namespace"}),
		cloudCall:    prometheus.NewCounterVec(counter("ratify_alibabacloud_request_count_total", "Requests to Alibaba Cloud; status 0 is a request without an answer."), []string{"service", "status_code"}),
		verdicts:     prometheus.NewCounterVec(counter("ratify_verdict_count_total", "Verdicts by outcome: verified, refused or undetermined."), []string{"outcome", "workload_namespace"}),
		generation:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "ratify_configuration_generation", Help: "Number of the configuration in use."}),
		loadErrors:   prometheus.NewCounter(counter("ratify_configuration_error_count_total", "Configurations that could not be loaded.")),
		expiry: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ratify_certificate_expiry_timestamp_seconds",
			Help: "When the first certificate of a key management provider expires, in seconds since 1970."}, []string{"key_management_provider"}),
		degraded: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ratify_key_management_provider_degraded",
			Help: "1 if a key management provider could not be read in full the last time, 0 if it could."}, []string{"key_management_provider"}),
		hosts:      newBounded(maxHosts),
		namespaces: newBounded(maxNamespaces),
	}
	m.counters.of = make(map[[2]string]prometheus.Counter)
	m.registry.MustRegister(m.verification, m.mutation, m.verifier, m.systemErrors, m.registryCall, m.contentCache, m.cloudCall,
		m.verdicts, m.generation, m.loadErrors, m.expiry, m.degraded, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// VerifyRequest counts one verify request.
func (m *Metrics) VerifyRequest(d time.Duration) { m.verification.Observe(milliseconds(d)) }

// MutateRequest counts one mutate request.
func (m *Metrics) MutateRequest(d time.Duration) { m.mutation.Observe(milliseconds(d)) }

// Verifier counts one run of a verifier; failed says that it could not find out.
func (m *Metrics) Verifier(name, namespace string, d time.Duration, success, failed bool) {
	m.verifier.WithLabelValues(name, strconv.FormatBool(success), strconv.FormatBool(failed), m.namespaces.label(namespace)).Observe(milliseconds(d))
}

// SystemError counts an answer with a systemError. kind is one of a few words.
func (m *Metrics) SystemError(kind string) { m.systemErrors.WithLabelValues(kind, "").Inc() }

// Verdict counts a verdict.
func (m *Metrics) Verdict(outcome, namespace string) {
	key := [2]string{outcome, namespace}
	m.counters.RLock()
	counter, ok := m.counters.of[key]
	m.counters.RUnlock()
	if !ok {
		label := m.namespaces.label(namespace)
		counter = m.verdicts.WithLabelValues(outcome, label)
		if label == namespace { // else there may be any number of them
			m.counters.Lock()
			m.counters.of[key] = counter
			m.counters.Unlock()
		}
	}
	counter.Inc()
}

// RegistryRequest counts a request to a registry; status 0 means that there was no answer.
func (m *Metrics) RegistryRequest(host string, status int) {
	m.registryCall.WithLabelValues(m.hosts.label(host), strconv.Itoa(status), "").Inc()
}

// ContentCache counts a look-up of a manifest or blob in the cache.
func (m *Metrics) ContentCache(hit bool) {
	m.contentCache.WithLabelValues(strconv.FormatBool(hit), "").Inc()
}

// CloudRequest counts a request to a service of Alibaba Cloud; status 0 means that there was no answer.
func (m *Metrics) CloudRequest(service string, status int) {
	m.cloudCall.WithLabelValues(service, strconv.Itoa(status)).Inc()
}

// Configuration tells which configuration is in use.
func (m *Metrics) Configuration(generation uint64) { m.generation.Set(float64(generation)) }

// ConfigurationError counts a configuration that could not be loaded.
func (m *Metrics) ConfigurationError() { m.loadErrors.Inc() }

// KeyProvider is the state of a key management provider.
type KeyProvider struct {
	Name     string
	Expires  time.Time // when its first certificate does; zero if it holds none
	Degraded bool      // it could not be read in full the last time
}

// KeyProviders tells the state of all key management providers there are.
func (m *Metrics) KeyProviders(all []KeyProvider) {
	m.expiry.Reset()
	m.degraded.Reset()
	for _, p := range all[:min(len(all), maxKeyProviders)] {
		if !p.Expires.IsZero() {
			m.expiry.WithLabelValues(p.Name).Set(float64(p.Expires.Unix()))
		}
		value := 0.0
		if p.Degraded {
			value = 1
		}
		m.degraded.WithLabelValues(p.Name).Set(value)
	}
}

// bounded is the values of a label: the first that are seen, up to a maximum.
type bounded struct {
	most int

	mu   sync.Mutex
	seen map[string]bool
}

func newBounded(most int) *bounded { return &bounded{most: most, seen: make(map[string]bool)} }

// label returns value, or other if there are too many already.
func (b *bounded) label(value string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.seen[value] {
		if len(b.seen) == b.most {
			return other
		}
		b.seen[value] = true
	}
	return value
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
