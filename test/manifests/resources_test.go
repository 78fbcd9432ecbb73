package manifests

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ratify-project/ratify/api/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/builtin"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
)

// read returns the resources of a file.
func read(t *testing.T, file string) controller.Resources {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r controller.Resources
	for _, document := range regexp.MustCompile(`(?m)^---$`).Split(string(content), -1) {
		var meta struct {
			Kind string `json:"kind"`
		}
		if err := yaml.Unmarshal([]byte(document), &meta); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		switch meta.Kind {
		case "":
		case "Store":
			add(t, document, &r.Stores)
		case "Verifier":
			add(t, document, &r.Verifiers)
		case "Policy":
			add(t, document, &r.Policies)
		case "KeyManagementProvider":
			add(t, document, &r.KeyManagementProviders)
		case "NamespacedStore":
			add(t, document, &r.NamespacedStores)
		case "NamespacedVerifier":
			add(t, document, &r.NamespacedVerifiers)
		case "NamespacedPolicy":
			add(t, document, &r.NamespacedPolicies)
		case "NamespacedKeyManagementProvider":
			add(t, document, &r.NamespacedKeyManagementProviders)
		default:
			t.Fatalf("%s: %s", file, meta.Kind)
		}
	}
	return r
}

func add[T any](t *testing.T, document string, list *[]T) {
	t.Helper()
	var one T
	if err := yaml.UnmarshalStrict([]byte(document), &one); err != nil {
		t.Fatal(err)
	}
	*list = append(*list, one)
}

// build makes what the resources say, as ratify serve does, and returns what was wrong by resource. No cloud can be reached.
func build(t *testing.T, r controller.Resources) map[string]string {
	t.Helper()
	offline := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("offline") }}
	b := &controller.Builder{Factories: builtin.Factories(builtin.Options{
		Transport: offline, UserAgent: "test", Metrics: metrics.New(), Log: slog.New(slog.DiscardHandler),
	})}
	_, statuses := b.Build(t.Context(), r)
	wrong := make(map[string]string)
	for _, status := range statuses {
		if status.Err != nil {
			wrong[status.ID.String()] = status.Err.Error()
		}
	}
	return wrong
}

// What the chart renders is taken by the parts that it is for. test/chart keeps these files up to date.
func TestRenderedResources(t *testing.T) {
	for name, want := range map[string]map[string]string{
		"defaults":   {"Verifier verifier-notation": "certs"}, // there is nobody to trust yet
		"guide":      {},
		"signatures": {},
	} {
		r := read(t, filepath.Join("../chart/testdata", name+".yaml"))
		if len(r.Stores) != 1 || len(r.Verifiers) == 0 || len(r.Policies) != 1 {
			t.Fatalf("%s: %d stores, %d verifiers, %d policies", name, len(r.Stores), len(r.Verifiers), len(r.Policies))
		}
		same(t, name, want, build(t, r))
	}
}

func TestSamples(t *testing.T) {
	certificate, err := os.ReadFile("../../charts/ratify/files/placeholder-ca.crt")
	if err != nil {
		t.Fatal(err)
	}
	guide := controller.Resources{
		Verifiers:              read(t, "../../config/samples/guide/verifier-notation.yaml").Verifiers,
		KeyManagementProviders: read(t, "../../config/samples/guide/keymanagementprovider-inline.yaml").KeyManagementProviders,
		Stores:                 read(t, "../../config/samples/guide/store-oras.yaml").Stores,
		Policies:               read(t, "../../config/samples/cluster/policy.yaml").Policies,
	}
	if got := build(t, guide)["KeyManagementProvider ratify-notation-inline-cert"]; got == "" {
		t.Error("the guide's placeholder is no certificate, and nothing says so")
	}
	guide.KeyManagementProviders[0].Spec.Parameters.Raw = inline(t, certificate)
	same(t, "guide", nil, build(t, guide))

	team := read(t, "../../config/samples/namespaced/tenant.yaml")
	team.NamespacedKeyManagementProviders[0].Spec.Parameters.Raw = inline(t, certificate)
	same(t, "tenant", nil, build(t, team))

	// What needs a cloud or a cluster is replaced by what does not.
	keys := v1beta1.KeyManagementProvider{}
	keys.Name, keys.Spec.Type, keys.Spec.Parameters.Raw = "release-keys", "inline", inline(t, certificate)
	stamps := *keys.DeepCopy()
	stamps.Name = "stamps"
	same(t, "timestamps", nil, build(t, controller.Resources{
		Verifiers:              read(t, "../../config/samples/cluster/verifier-notation-timestamp.yaml").Verifiers,
		KeyManagementProviders: []v1beta1.KeyManagementProvider{keys, stamps},
	}))
	kms := build(t, read(t, "../../config/samples/cluster/keymanagementprovider-kms.yaml"))
	if got := kms["KeyManagementProvider release-keys"]; !strings.Contains(got, "no RRSA identity") {
		t.Errorf("KMS: got %q, want that the pod has no identity", got)
	}
}

// inline returns parameters of an inline provider.
func inline(t *testing.T, certificate []byte) []byte {
	t.Helper()
	raw, err := yaml.Marshal(map[string]string{"contentType": "certificate", "value": string(certificate)})
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = yaml.YAMLToJSON(raw); err != nil {
		t.Fatal(err)
	}
	return raw
}

// same compares what was wrong, by resource, with words of what should be.
func same(t *testing.T, about string, want, got map[string]string) {
	t.Helper()
	for id, text := range got {
		if words, ok := want[id]; !ok || !strings.Contains(text, words) {
			t.Errorf("%s: %s: %s", about, id, text)
		}
	}
	for id := range want {
		if got[id] == "" {
			t.Errorf("%s: nothing is wrong with %s", about, id)
		}
	}
}
