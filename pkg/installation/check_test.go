package installation

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/gatekeeper"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func resource(kind, name string, status map[string]any) client.Object {
	o := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	o.SetGroupVersionKind(resources.WithKind(kind))
	o.SetName(name)
	return o
}

func provider(name, url, bundle string) client.Object {
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(providerKind)
	o.SetName(name)
	o.Object["spec"] = map[string]any{"url": url, "caBundle": bundle}
	return o
}

// server answers over TLS as Ratify does, or as handler does. clients says whether a certificate is asked for.
func server(t *testing.T, handler http.Handler, clients tls.ClientAuthType) (url, bundle string) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: clients, ClientCAs: x509.NewCertPool()}
	s.StartTLS()
	t.Cleanup(s.Close)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return s.URL + "/ratify/gatekeeper/v1/verify", base64.StdEncoding.EncodeToString(certificate)
}

// answer is a server that says the same whatever it is asked.
func answer(status int, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked, err := io.ReadAll(r.Body); err != nil || r.Method != http.MethodPost || string(asked) != question {
			status, body = http.StatusBadRequest, "not as Gatekeeper asks"
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

const right = `{"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "kind": "ProviderResponse", "response": {}}`

func TestProviders(t *testing.T) {
	url, bundle := server(t, answer(http.StatusOK, right), tls.NoClientCert)
	required, requiredBundle := server(t, answer(http.StatusOK, right), tls.RequireAndVerifyClientCert)
	broken, brokenBundle := server(t, answer(http.StatusInternalServerError, "{}"), tls.NoClientCert)
	other, otherBundle := server(t, answer(http.StatusOK, "<html>"), tls.NoClientCert)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "https://" + closed.Addr().String()
	_ = closed.Close()

	placeholder, err := os.ReadFile("../../charts/ratify/files/placeholder-ca.crt") // what the Provider has until Ratify writes its own
	if err != nil {
		t.Fatal(err)
	}

	for name, tt := range map[string]struct{ url, bundle, note, want string }{
		"right":                      {url, bundle, "", ""},
		"a certificate is required":  {required, requiredBundle, "answers clients with a certificate only", ""},
		"another authority":          {url, base64.StdEncoding.EncodeToString(placeholder), "", "certificate signed by unknown authority"},
		"a bundle that is no base64": {url, "?", "", "spec.caBundle is not base64"},
		"a bundle that is no PEM":    {url, "YQ==", "", "spec.caBundle has no certificate"},
		"no bundle":                  {url, "", "", "spec.caBundle has no certificate"},
		"nobody":                     {nobody, bundle, "", "connection refused"},
		"a strange address":          {"https://[", bundle, "", "spec.url"},
		"an error":                   {broken, brokenBundle, "", "500 Internal Server Error"},
		"something else":             {other, otherBundle, "", "no ProviderResponse"},
	} {
		t.Run(name, func(t *testing.T) {
			reader := fake.NewClientBuilder().WithScheme(runtime.NewScheme()).WithObjects(provider("ratify-provider", tt.url, tt.bundle)).Build()
			found := checkProviders(t.Context(), reader)
			if len(found) != 1 || found[0].About != "Provider ratify-provider" {
				t.Fatalf("found %v", found)
			}
			if err := found[0].Err; (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if note := found[0].Note; (note == "") != (tt.note == "") || !strings.Contains(note, tt.note) {
				t.Errorf("note %q", note)
			}
		})
	}
}

// session is one in which nothing is asked for.
type session struct{ gatekeeper.Session }

// The question is one that Ratify's own handler answers.
func TestQuestion(t *testing.T) {
	handler := gatekeeper.NewHandler(func() gatekeeper.Session { return session{} }, gatekeeper.HandlerOptions{Metrics: metrics.New(), Log: slog.New(slog.DiscardHandler)})
	for _, path := range []string{"verify", "mutate"} {
		url, bundle := server(t, handler, tls.NoClientCert)
		if note, err := ask(t.Context(), provider("p", strings.Replace(url, "verify", path, 1), bundle).(*unstructured.Unstructured)); note != "" || err != nil {
			t.Errorf("%s: %q %v", path, note, err)
		}
	}
}

// withConditions is the status of a version that is in use, of key material that is degraded if a message says so.
func withConditions(generation int64, degraded string) map[string]any {
	conditions := []any{map[string]any{"type": "Ready", "status": "True", "observedGeneration": generation}}
	if degraded != "" {
		conditions = append(conditions, map[string]any{"type": "Degraded", "status": "True", "observedGeneration": generation, "message": degraded})
	}
	return map[string]any{"issuccess": true, "conditions": conditions}
}

// changed is a resource after a change.
func changed(o client.Object) client.Object {
	o.SetGeneration(2)
	return o
}

func TestDegradedIsTold(t *testing.T) {
	for message, want := range map[string]string{"since 2026: no route": "since 2026: no route", "": ""} {
		o := resource("KeyManagementProvider", "k", withConditions(1, message)).(*unstructured.Unstructured)
		if note, err := status(*o); err != nil || (note == "") != (want == "") || !strings.Contains(note, want) {
			t.Errorf("%q: note %q, error %v", message, note, err)
		}
	}
}

func TestResources(t *testing.T) {
	good, bad := map[string]any{"issuccess": true}, map[string]any{"issuccess": false, "error": "value is missing"}
	all := []client.Object{resource("Store", "s", good), resource("Verifier", "v", good), resource("Policy", "p", good)}
	for name, tt := range map[string]struct {
		objects []client.Object
		about   string
		want    string
	}{
		"right":          {all, "", ""},
		"an error":       {append(all, resource("KeyManagementProvider", "k", bad)), "KeyManagementProvider k", "value is missing"},
		"no status":      {append(all, resource("Verifier", "w", nil)), "Verifier w", "it has no status"},
		"an old version": {append(all, changed(resource("Verifier", "w", withConditions(1, "")))), "Verifier w", "no replica has looked at it since it was changed"},
		"the version":    {append(all, resource("Verifier", "w", withConditions(1, ""))), "", ""},
		"no verifiers":   {[]client.Object{all[0], all[2]}, "Verifier", "there is none"},
	} {
		t.Run(name, func(t *testing.T) {
			scheme := runtime.NewScheme()
			for _, kind := range kinds {
				scheme.AddKnownTypeWithName(resources.WithKind(kind.name), &unstructured.Unstructured{})
				scheme.AddKnownTypeWithName(resources.WithKind(kind.name+"List"), &unstructured.UnstructuredList{})
			}
			found := checkResources(t.Context(), fake.NewClientBuilder().WithScheme(scheme).WithObjects(tt.objects...).Build())
			wrong := ""
			for _, f := range found {
				if f.Err == nil {
					continue
				}
				if wrong += f.About; f.About != tt.about || !strings.Contains(f.Err.Error(), tt.want) {
					t.Errorf("%s: %v", f.About, f.Err)
				}
			}
			if wrong != tt.about {
				t.Errorf("wrong is %q, want %q", wrong, tt.about)
			}
		})
	}
}
