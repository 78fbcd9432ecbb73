package chart

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	sigsyaml "sigs.k8s.io/yaml"
)

// variants are values that users of Ratify v1.4's chart have.
var variants = map[string]string{
	"defaults":                    ``,
	"certificates":                "notationCerts: [one, two]",
	"one certificate, deprecated": "notationCert: one",
	"trust policies": `
notationCerts: [one, two, three]
notation:
  trustPolicies:
  - {name: apps, level: permissive, registryScopes: [r.io/apps], trustedIdentities: ["x509.subject: C=CN"], trustStores: ["ca:notationCerts[0]", "tsa:notationCerts[1]"]}
  - {registryScopes: ["*"], trustStores: ["signingAuthority:notationCerts[2]"]}`,
	"Key Vault": `
azurekeyvault: {enabled: true, vaultURI: https://v.vault.azure.net, tenantId: t, refreshInterval: 1h, certificates: [{name: a, version: v1}, {name: b}], keys: [{name: k}]}
azureWorkloadIdentity: {clientId: c}`,
	"Key Vault, deprecated": `
akvCertConfig: {enabled: true, vaultURI: https://v.vault.azure.net, tenantId: t, cert1Name: a, cert1Version: v1, certificates: [{name: b, version: v2}]}
azureWorkloadIdentity: {clientId: c}`,
	"cosign keys":    "cosignKeys: [one, two]",
	"cosign keyless": "cosign: {scopes: [r.io/a, r.io/b], tLogVerify: false, keyless: {certificateIdentity: me, certificateOIDCIssuer: https://i.io}}",
	"cosign key":     "cosign: {key: one}",
	"no verifiers":   "cosign: {enabled: false}\nnotation: {enabled: false}",
	"reports": `
vulnerabilityreport: {enabled: true, passthrough: true, schemaURL: u, createdAnnotationName: c, maximumAge: 24h, notaryProjectSignatureRequired: true, disallowedSeverities: [high], denylistCVEs: [CVE-1]}
sbom: {enabled: true, notaryProjectSignatureRequired: true, disallowedLicenses: [MPL], disallowedPackages: [{name: busybox, version: v1}]}`,
	"ACR": `
oras: {authProviders: {alibabacloudAcrBasicEnabled: true}}
alibabacloudAcrConfig: {defaultInstanceId: cri-a, acrInstancesConfig: [{instanceName: name1, instanceId: cri-b}]}`,
	"ECR":               "oras: {authProviders: {awsEcrBasicEnabled: true, awsApiOverride: {enabled: true, endpoint: e, partition: p, region: r}}}",
	"workload identity": "oras: {authProviders: {azureWorkloadIdentityEnabled: true, azureContainerRegistryEndpoints: ['*.azurecr.io']}}\nazureWorkloadIdentity: {clientId: c}",
	"managed identity":  "oras: {authProviders: {azureManagedIdentityEnabled: true, azureContainerRegistryEndpoints: ['*.azurecr.io']}}\nazureManagedIdentity: {clientId: c, tenantId: t}",
	"secrets":           "oras: {authProviders: {k8secretsEnabled: true}, useHttp: true, cache: {enabled: false}}",
	"Docker":            "dockerConfig: '{}'",
	"Docker, a Secret":  "registryCredsSecret: mine",
	"certificate given": "provider: {tls: {crt: a, key: b, caCert: c, caKey: d, cabundle: ZQ==}}\nfeatureFlags: {RATIFY_CERT_ROTATION: false}",
	"names":             "nameOverride: other\nserviceAccount: {name: account, annotations: {a: b}}",
	"full name":         "fullnameOverride: other\nserviceAccount: {create: false, name: mine}",
	"no RBAC":           "rbac: {create: false}\nupgradeCRDs: {enabled: false}",
	"no mutation":       "provider: {enableMutation: false}",
	"exclusions":        "provider: {mutationExcludedNamespaces: [a, b]}\ngatekeeper: {namespace: gk, version: 3.10.0}",
	"operations": `
replicaCount: 3
podLabels: {a: b}
podAnnotations: {c: d}
healthPort: 9100
env: [{name: HTTPS_PROXY, value: p}]
logger: {level: debug, formatter: json, requestHeaders: {traceIDHeaderName: [x-id]}}
instrumentation: {metricsPort: 8889}
provider: {cache: {ttl: 20s, cacheSizeMb: 100}, timeout: {validationTimeoutSeconds: 4, mutationTimeoutSeconds: 3}}
tolerations: [{key: a}]
affinity: {nodeAffinity: {}}
crl: {cache: {enabled: false}}
featureFlags: {RATIFY_EXPERIMENTAL_DYNAMIC_PLUGINS: true}`,
}

// notUpstreams are objects that only we have; gone are those that only upstream has, on purpose.
var (
	notUpstreams = []string{"PodDisruptionBudget "}
	gone         = []string{"Job ratify-update-crds-hook", "ServiceAccount ratify-admin-upgrade-crds", "ClusterRole ratify-admin-upgrade-crds",
		"ClusterRoleBinding ratify-admin-upgrade-crds"}
)

// The chart renders what upstream's renders from the same values: names, specs of resources, arguments, environment.
func TestUpstreamsValues(t *testing.T) {
	folder := upstream(t)
	published, err := os.ReadFile(folder + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range variants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := string(published)
			if !strings.Contains(values, "RATIFY_CERT_ROTATION") {
				base = strings.Replace(base, "RATIFY_CERT_ROTATION: false", "RATIFY_CERT_ROTATION: true", 1)
			}
			theirs, err := inRatify.render(folder, base, values)
			if err != nil {
				t.Fatal(err)
			}
			got, err := inRatify.render(ours, base, values)
			if err != nil {
				t.Fatal(err)
			}
			withoutAnybodyToTrust := theirs["Verifier verifier-cosign"] != nil && in(theirs["Verifier verifier-cosign"], "spec", "parameters", "key") != nil && theirs["Secret ratify-cosign-certificate"] == nil
			for _, key := range theirs.names() {
				if slices.Contains(gone, key) || key == "Verifier verifier-cosign" && withoutAnybodyToTrust {
					continue
				}
				compare(t, theirs[key], got.get(t, key), withoutAnybodyToTrust)
			}
			for _, key := range got.names() {
				if theirs[key] == nil && !slices.ContainsFunc(notUpstreams, func(prefix string) bool { return strings.HasPrefix(key, prefix) }) {
					t.Errorf("%s is not among upstream's objects", key)
				}
			}
		})
	}
}

// compare compares what matters of two objects of a kind and name.
func compare(t *testing.T, want, got *unstructured.Unstructured, withoutCosign bool) {
	t.Helper()
	if want.GetAPIVersion() != got.GetAPIVersion() {
		t.Errorf("%s: apiVersion %s, want %s", got.GetName(), got.GetAPIVersion(), want.GetAPIVersion())
	}
	switch want.GetKind() {
	case "Store", "Verifier", "Policy", "KeyManagementProvider", "Provider", "Assign", "Service":
		a, b := tidy(want), tidy(got)
		if want.GetKind() == "Store" && withoutCosign {
			unstructured.RemoveNestedField(a.Object, "spec", "parameters", "cosignEnabled")
		}
		if want.GetKind() == "Provider" && in(got, "spec", "caBundle") != "ZQ==" {
			unstructured.RemoveNestedField(a.Object, "spec", "caBundle") // a random one, and ours
			unstructured.RemoveNestedField(b.Object, "spec", "caBundle")
		}
		same(t, got, "spec", in(a, "spec"), in(b, "spec"))
	case "Secret":
		same(t, got, "data", empty(in(want, "data")), empty(in(got, "data")))
		same(t, got, "type", in(want, "type"), in(got, "type"))
	case "ServiceAccount":
		same(t, got, "annotations", want.GetAnnotations(), got.GetAnnotations())
		same(t, got, "identity", want.GetLabels()["azure.workload.identity/use"], got.GetLabels()["azure.workload.identity/use"])
	case "ClusterRoleBinding", "RoleBinding":
		same(t, got, "subjects", in(want, "subjects"), in(got, "subjects"))
		same(t, got, "roleRef", in(want, "roleRef"), in(got, "roleRef"))
	case "ConfigMap":
		same(t, got, "config.json", plain(t, want), plain(t, got))
	case "Deployment":
		compareDeployments(t, want, got)
	}
}

func compareDeployments(t *testing.T, want, got *unstructured.Unstructured) {
	t.Helper()
	for _, path := range [][]string{
		{"spec", "replicas"}, {"spec", "selector"}, {"spec", "template", "metadata", "labels"},
		{"spec", "template", "spec", "serviceAccountName"}, {"spec", "template", "spec", "tolerations"}, {"spec", "template", "spec", "affinity"},
	} {
		same(t, got, strings.Join(path, "."), empty(in(want, path...)), empty(in(got, path...)))
	}
	for key, value := range in(want, "spec", "template", "metadata", "annotations").(map[string]any) {
		if !strings.HasPrefix(key, "checksum/") {
			same(t, got, "annotation "+key, value, in(got, "spec", "template", "metadata", "annotations").(map[string]any)[key])
		}
	}
	a, b := container(want), container(got)
	same(t, got, "command", a["command"], b["command"])
	same(t, got, "image", a["image"], b["image"])
	same(t, got, "args", a["args"], b["args"])
	same(t, got, "ports", ports(a), ports(b))
	theirs, mine := environment(a), environment(b)
	for name, value := range theirs {
		same(t, got, "env "+name, value, mine[name])
	}
	for name := range mine {
		if _, ok := theirs[name]; !ok && !slices.Contains([]string{"POD_NAME", "XDG_CACHE_HOME", "TUF_ROOT"}, name) {
			t.Errorf("env %s is not among upstream's", name)
		}
	}
	mounted := mounts(b)
	for path, volume := range mounts(a) {
		same(t, got, "mount "+path, volume, mounted[path])
	}
}

func same(t *testing.T, about *unstructured.Unstructured, what string, want, got any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		a, _ := sigsyaml.Marshal(want)
		b, _ := sigsyaml.Marshal(got)
		t.Errorf("%s %s: %s:\n%s\nwant:\n%s", about.GetKind(), about.GetName(), what, b, a)
	}
}

// tidy returns a copy without what is null or empty, which means the same as what is absent.
func tidy(o *unstructured.Unstructured) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: empty(o.DeepCopy().Object).(map[string]any)}
}

// empty returns a value without what is null or empty in it, and nil if nothing is left.
func empty(value any) any {
	switch v := value.(type) {
	case map[string]any:
		left := map[string]any{}
		for key, inner := range v {
			if inner = empty(inner); inner != nil {
				left[key] = inner
			}
		}
		if len(left) > 0 {
			return left
		}
		return nil
	case []any:
		var left []any
		for _, inner := range v {
			if inner = empty(inner); inner != nil {
				left = append(left, inner)
			}
		}
		if len(left) > 0 {
			return left
		}
		return nil
	case string:
		if v == "" {
			return nil
		}
	}
	return value
}

// plain returns what the config.json of a ConfigMap says.
func plain(t *testing.T, o *unstructured.Unstructured) any {
	t.Helper()
	var value map[string]any
	if err := sigsyaml.Unmarshal([]byte(in(o, "data", "config.json").(string)), &value); err != nil {
		t.Fatal(err)
	}
	headers := value["logger"].(map[string]any)["requestHeaders"].(map[string]any)
	if text, ok := headers["traceIDHeaderName"].(string); ok { // upstream prints a list as Go does: [a b]
		headers["traceIDHeaderName"] = []any{}
		for _, one := range strings.Fields(strings.Trim(text, "[]")) {
			headers["traceIDHeaderName"] = append(headers["traceIDHeaderName"].([]any), one)
		}
	}
	return empty(value)
}

func container(o *unstructured.Unstructured) map[string]any {
	return in(o, "spec", "template", "spec", "containers").([]any)[0].(map[string]any)
}

func ports(container map[string]any) (all []any) {
	for _, port := range container["ports"].([]any) {
		all = append(all, port.(map[string]any)["containerPort"])
	}
	return all
}

func environment(container map[string]any) map[string]any {
	all := map[string]any{}
	for _, one := range container["env"].([]any) {
		variable := one.(map[string]any)
		all[variable["name"].(string)] = []any{variable["value"], variable["valueFrom"]}
	}
	return all
}

func mounts(container map[string]any) map[string]any {
	all := map[string]any{}
	for _, one := range container["volumeMounts"].([]any) {
		mount := one.(map[string]any)
		all[mount["mountPath"].(string)] = mount["name"]
	}
	return all
}
