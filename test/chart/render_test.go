package chart

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

const ours = "../../charts/ratify"

// upstream returns the folder of the chart of Ratify v1.4.
func upstream(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/ratify-project/ratify").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out)) + "/charts/ratify"
}

// objects are what a chart renders, by kind and name: "Store store-oras".
type objects map[string]*unstructured.Unstructured

// names returns the keys in order.
func (o objects) names() []string { return slices.Sorted(maps.Keys(o)) }

// get returns an object, and fails the test if there is none.
func (o objects) get(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	if o[name] == nil {
		t.Fatalf("no %s among %q", name, o.names())
	}
	return o[name]
}

// in returns what is at a path of fields of an object, nil if there is nothing.
func in(o *unstructured.Unstructured, path ...string) any {
	found, _, _ := unstructured.NestedFieldNoCopy(o.Object, path...)
	return found
}

// material stands in values for what is trusted.
var material = strings.NewReplacer("[CERTIFICATE", "["+strconv.Quote(certificatePEM), ", CERTIFICATE", ", "+strconv.Quote(certificatePEM), "[KEY]", "["+strconv.Quote(keyPEM)+"]")

const (
	certificatePEM = `-----BEGIN CERTIFICATE-----
MIIB6DCCAY2gAwIBAgIUKIWii5tbEXFHF42M4HnyGffgF/owCgYIKoZIzj0EAwIw
SDEPMA0GA1UECgwGUmF0aWZ5MTUwMwYDVQQDDCxObyBjZXJ0aWZpY2F0ZSB5ZXQ6
IFJhdGlmeSBwdXRzIGl0cyBvd24gaGVyZTAgFw0yNjExMjExOTA5NTlaGA8yMTI2
MTAyODE5MDk1OVowSDEPMA0GA1UECgwGUmF0aWZ5MTUwMwYDVQQDDCxObyBjZXJ0
aWZpY2F0ZSB5ZXQ6IFJhdGlmeSBwdXRzIGl0cyBvd24gaGVyZTBZMBMGByqGSM49
AgEGCCqGSM49AwEHA0IABFHfUSmiNRLvEuBPMbzgwVMVoemzepw8jZG06FYrr0U+
Yuuzui7zFZ38gM8MIyphePThvgP/AIVuVesoUKKY+pmjUzBRMB0GA1UdDgQWBBRT
JwRHK27nqXIVNNkNmuLsd4PUwjAfBgNVHSMEGDAWgBRTJwRHK27nqXIVNNkNmuLs
d4PUwjAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0kAMEYCIQCykDBwlivD
pz9URJ/xgS3WIB6Hyq0DbvChSRI2ifUu0AIhAOXhLa+tDT77CuyHUR6LXzxAwDp2
wbK1dmmSFTeWC8eB
-----END CERTIFICATE-----
`
	keyPEM = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEs6CJ5x+XFoIczESS5Iygghz5MPoZ
2IqUeaR9387TP7YT4xBTErPC1kWXw/vLSpxULhXhQf79vFUBp46wA4wIcQ==
-----END PUBLIC KEY-----
`
)

// release is where a chart is installed to.
type release struct{ namespace, kubernetes string }

var inRatify = release{namespace: "ratify"}

// render renders the chart with values in YAML, later ones over earlier ones.
func (r release) render(folder string, values ...string) (objects, error) {
	c, err := loader.Load(folder)
	if err != nil {
		return nil, err
	}
	manifests, err := r.manifests(c, values...)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(manifests, func(name, _ string) bool { return !strings.HasSuffix(name, ".yaml") })
	found := make(objects)
	for _, name := range slices.Sorted(maps.Keys(manifests)) {
		decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewBufferString(manifests[name]), 4096)
		for {
			var o unstructured.Unstructured
			if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if len(o.Object) == 0 {
				continue
			}
			key := o.GetKind() + " " + o.GetName()
			if found[key] != nil {
				return nil, fmt.Errorf("%s: there are two of %s", name, key)
			}
			found[key] = &o
		}
	}
	return found, nil
}

// manifests returns the rendered templates by their names, as text.
func (r release) manifests(c *chart.Chart, values ...string) (map[string]string, error) {
	all := map[string]any{}
	for _, text := range values {
		text = material.Replace(text)
		var some map[string]any
		if err := sigsyaml.UnmarshalStrict([]byte(text), &some); err != nil {
			return nil, err
		}
		all = chartutil.MergeTables(some, all)
	}
	capabilities := chartutil.DefaultCapabilities.Copy()
	version := r.kubernetes
	if version == "" {
		version = "v1.34.0"
	}
	parsed, err := chartutil.ParseKubeVersion(version)
	if err != nil {
		return nil, err
	}
	capabilities.KubeVersion = *parsed
	if err := chartutil.ProcessDependenciesWithMerge(c, all); err != nil {
		return nil, err
	}
	input, err := chartutil.ToRenderValues(c, all, chartutil.ReleaseOptions{Name: "ratify", Namespace: r.namespace, Revision: 1, IsInstall: true}, capabilities)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(c, input)
	if err != nil {
		return nil, err
	}
	return rendered, nil
}

// mustRender renders our chart into namespace ratify.
func mustRender(t *testing.T, values ...string) objects {
	t.Helper()
	found, err := inRatify.render(ours, values...)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
