package apiserver

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// kind is a kind of resources that is served.
type kind struct {
	group, version, kind, plural string
	namespaced                   bool
}

var kinds = []kind{
	{ratify, "v1beta1", "Store", "stores", false},
	{ratify, "v1beta1", "Verifier", "verifiers", false},
	{ratify, "v1beta1", "Policy", "policies", false},
	{ratify, "v1beta1", "KeyManagementProvider", "keymanagementproviders", false},
	{ratify, "v1beta1", "NamespacedStore", "namespacedstores", true},
	{ratify, "v1beta1", "NamespacedVerifier", "namespacedverifiers", true},
	{ratify, "v1beta1", "NamespacedPolicy", "namespacedpolicies", true},
	{ratify, "v1beta1", "NamespacedKeyManagementProvider", "namespacedkeymanagementproviders", true},
	{"externaldata.gatekeeper.sh", "v1beta1", "Provider", "providers", false},
	{"apps", "v1", "Deployment", "deployments", true},
	{"coordination.k8s.io", "v1", "Lease", "leases", true},
	{"", "v1", "Secret", "secrets", true},
	{"", "v1", "Event", "events", true},
}

const ratify = "config.ratify.deislabs.io"

func (k kind) apiVersion() string {
	if k.group == "" {
		return k.version
	}
	return k.group + "/" + k.version
}

func (k kind) path() string {
	if k.group == "" {
		return "/api/" + k.version
	}
	return "/apis/" + k.group + "/" + k.version
}

// Options are what a Server does not do like others.
type Options struct {
	// Address is where it listens; "" is a free port of loopback.
	Address string
	// Lacks are kinds that it does not have, as where a CRD is not installed.
	Lacks []string
	// DropsConditions makes it drop status.conditions of Ratify's resources, as the CRDs of Ratify v1.4 do.
	DropsConditions bool
}

// Server is a running API server.
type Server struct {
	url     string
	options Options
	kinds   []kind

	mu       sync.Mutex
	away     bool
	revision int
	objects  map[string]map[string]any // by the paths of their kind, namespace and name
	history  []change
	news     chan struct{} // closed with the next change
	writes   map[string]int
}

// Start starts a Server for a test.
func Start(t *testing.T, o Options) *Server {
	t.Helper()
	s := &Server{options: o, objects: make(map[string]map[string]any), news: make(chan struct{}), writes: make(map[string]int)}
	for _, k := range kinds {
		lacking := false
		for _, name := range o.Lacks {
			lacking = lacking || name == k.kind
		}
		if !lacking {
			s.kinds = append(s.kinds, k)
		}
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	if o.Address != "" {
		listener, err := net.Listen("tcp", o.Address)
		if err != nil {
			t.Fatal(err)
		}
		_ = server.Listener.Close()
		server.Listener = listener
	}
	server.Start()
	s.url = server.URL
	t.Cleanup(func() {
		s.Away(true) // ends the watches
		server.Close()
	})
	return s
}

// Config returns how clients reach the server.
func (s *Server) Config() *rest.Config { return &rest.Config{Host: s.url, QPS: -1} }

// Kubeconfig returns how programs reach it: the content of a file for KUBECONFIG.
func (s *Server) Kubeconfig() []byte {
	return []byte(`{"apiVersion": "v1", "kind": "Config", "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
		"clusters": [{"name": "c", "cluster": {"server": "` + s.url + `"}}], "users": [{"name": "u", "user": {}}]}`)
}

// Away makes the server fail every call, or answer again. Watches end with it.
func (s *Server) Away(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
	s.wake()
}

// Writes returns how often a path was written to by clients, such as "PATCH /apis/config.ratify.deislabs.io/v1beta1/stores/s/status".
func (s *Server) Writes(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes[call]
}

// wake tells the watches to look; the caller holds the lock.
func (s *Server) wake() {
	close(s.news)
	s.news = make(chan struct{})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	away := s.away
	if r.Method != http.MethodGet && !away {
		s.writes[r.Method+" "+r.URL.Path]++
	}
	s.mu.Unlock()
	if away {
		fail(w, http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "the API server is away")
		return
	}
	for _, k := range s.kinds {
		rest, ok := strings.CutPrefix(r.URL.Path, k.path()+"/")
		if !ok {
			continue
		}
		namespace := ""
		if inNamespace, ok := strings.CutPrefix(rest, "namespaces/"); ok {
			namespace, rest, _ = strings.Cut(inNamespace, "/")
		}
		plural, rest, _ := strings.Cut(rest, "/")
		if plural != k.plural {
			continue
		}
		name, subresource, _ := strings.Cut(rest, "/")
		if name == "" {
			s.collection(w, r, k, namespace)
		} else {
			s.item(w, r, k, key(k, namespace, name), subresource)
		}
		return
	}
	fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
}

func reply(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone has the test fail by itself
}

func fail(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	reply(w, code, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
		Message: message, Reason: reason, Code: int32(code)})
}
