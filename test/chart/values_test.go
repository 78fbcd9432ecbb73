package chart

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	sigsyaml "sigs.k8s.io/yaml"
)

// guide are the values of Alibaba Cloud's guide for Ratify on ACK.
const guide = `
oras: {authProviders: {alibabacloudAcrBasicEnabled: true}}
alibabacloudAcrConfig:
  defaultInstanceId: cri-ccccccccc
  acrInstancesConfig:
  - {instanceName: name1, instanceId: cri-aaaaaaaaaaaa}
  - {instanceName: name2, instanceId: cri-bbbbbbbbbbbb}
serviceAccount: {annotations: {pod-identity.alibabacloud.com/role-name: ratify-role}}
featureFlags: {RATIFY_CERT_ROTATION: true}
notationCerts: [CERTIFICATE]
`

// signatures are several trust policies, timestamps, cosign with a key, and a policy in Rego.
const signatures = `
notationCerts: [CERTIFICATE, CERTIFICATE]
cosignKeys: [KEY]
cosign: {tLogVerify: false}
notation:
  trustPolicies:
  - {name: apps, level: permissive, registryScopes: [r.io/apps], trustStores: ["ca:notationCerts[0]", "tsa:notationCerts[1]"], verifyTimestamp: afterCertExpiry}
  - {name: others, registryScopes: ["*"], trustStores: ["ca:notationCerts[0]"], trustedIdentities: ["x509.subject: C=CN, ST=Zhejiang, O=Example"]}
policy: {useRego: true}
`

// everything turns on all there is.
const everything = `
image: {digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
imagePullSecrets: [{name: mine}]
autoscaling: {enabled: true}
nodeSelector: {kubernetes.io/arch: amd64}
priorityClassName: system-cluster-critical
topologySpreadConstraints:
- {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}
notationCerts: [one, two]
cosignKeys: [one]
notation:
  trustPolicies:
  - {name: apps, verificatonLevel: permissive, registryScopes: [r.io/apps], trustStores: ["ca:alibabacloudkms", "tsa:notationCerts[1]"], verifyTimestamp: afterCertExpiry}
  - {name: others, registryScopes: ["*"], trustStores: ["ca:notationCerts[0]"]}
cosign: {tLogVerify: false}
vulnerabilityreport: {enabled: true, maximumAge: 24h}
sbom: {enabled: true, disallowedLicenses: [MPL]}
alibabacloud: {rrsa: {roleName: ratify-role}}
alibabacloudAcrConfig:
  discoverInstances: true
  network: vpc
  acrInstancesConfig: [{name1: cri-aaaaaaaaaaaa}]
alibabacloudkms:
  enabled: true
  region: cn-hangzhou
  network: vpc
  certificates: [{secretName: signer}, {secretName: signer, versionStage: ACSPrevious}]
  keys: [{keyId: key-1}]
oras:
  authProviders: {alibabacloudAcrBasicEnabled: true, k8secretsEnabled: true, awsEcrBasicEnabled: true}
  parameters: {allowAnonymous: false}
dockerConfig: '{}'
instrumentation: {serviceMonitor: {enabled: true, labels: {team: x}}}
networkPolicy: {enabled: true, egress: {cidrs: [100.64.0.0/10, 10.0.0.0/8]}}
rbac: {clusterWideSecrets: false}
policy: {useRego: true}
gatekeeper: {clientCertificate: {required: true, caSecret: gatekeeper-ca}}
`

func TestDefaults(t *testing.T) {
	found := mustRender(t)
	want := []string{
		"Assign mutate-cronjob-image", "Assign mutate-cronjob-image-ephemeral", "Assign mutate-cronjob-image-init",
		"Assign mutate-pod-image", "Assign mutate-pod-image-ephemeral", "Assign mutate-pod-image-init",
		"Assign mutate-workload-image", "Assign mutate-workload-image-ephemeral", "Assign mutate-workload-image-init",
		"ClusterRole ratify-manager-cluster-role", "ClusterRoleBinding ratify-manager-cluster-rolebinding", "ConfigMap ratify-configuration",
		"Deployment ratify", "Pod ratify-test-connection", "PodDisruptionBudget ratify", "Policy ratify-policy", "Provider ratify-mutation-provider", "Provider ratify-provider",
		"Role ratify-manager-role", "RoleBinding ratify-manager-rolebinding", "Secret ratify-tls", "Service ratify", "ServiceAccount ratify-admin",
		"Store store-oras", "Verifier verifier-notation",
	}
	if got := found.names(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if secret := found.get(t, "Secret ratify-tls"); in(secret, "data") != nil || in(secret, "stringData") != nil {
		t.Error("the Secret must have no data: Helm would set it back with each upgrade")
	}
}

// Hooks are deleted and made anew with each upgrade, which leaves a gap; lookups give something else without a cluster, as with GitOps.
func TestObjectsBelongToTheRelease(t *testing.T) {
	for name, values := range map[string]string{"defaults": "", "guide": guide, "everything": everything} {
		first, again := mustRender(t, values), mustRender(t, values)
		for _, key := range first.names() {
			o := first[key]
			if hook := o.GetAnnotations()["helm.sh/hook"]; hook != "" && hook != "test" {
				t.Errorf("%s: %s is a hook: %s", name, key, hook)
			}
			if o.GetLabels()["app.kubernetes.io/managed-by"] != "Helm" || o.GetLabels()["app.kubernetes.io/instance"] != "ratify" {
				t.Errorf("%s: %s has labels %v", name, key, o.GetLabels())
			}
			if !reflect.DeepEqual(o, again[key]) {
				t.Errorf("%s: %s is not the same when it is rendered again", name, key)
			}
		}
	}
	c, err := loader.Load(ours)
	if err != nil {
		t.Fatal(err)
	}
	for _, template := range c.Templates {
		if strings.Contains(string(template.Data), "lookup ") {
			t.Errorf("%s looks up", template.Name)
		}
	}
}

// Fields that the kinds do not have are refused by the API server, or dropped.
func TestKindsKnowTheFields(t *testing.T) {
	codecs := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict)
	checked := 0
	for name, values := range map[string]string{"defaults": "", "guide": guide, "everything": everything} {
		for key, o := range mustRender(t, values) {
			if !scheme.Scheme.Recognizes(o.GroupVersionKind()) {
				continue
			}
			content, err := sigsyaml.Marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := codecs.UniversalDeserializer().Decode(content, nil, nil); err != nil {
				t.Errorf("%s: %s: %v", name, key, err)
			}
			checked++
		}
	}
	if checked < 30 {
		t.Errorf("%d objects were checked", checked)
	}
}

func TestLint(t *testing.T) {
	for name, values := range map[string]string{"defaults": "", "everything": everything} {
		var plain map[string]any
		if err := sigsyaml.Unmarshal([]byte(values), &plain); err != nil {
			t.Fatal(err)
		}
		for _, message := range lint.AllWithKubeVersion(ours, plain, "ratify", nil).Messages {
			if message.Severity >= support.WarningSev {
				t.Errorf("%s: %v", name, message)
			}
		}
	}
}

func TestGuide(t *testing.T) {
	found := mustRender(t, guide)
	provider := in(found.get(t, "Store store-oras"), "spec", "parameters", "authProvider")
	want := map[string]any{"name": "alibabacloudAcrBasic", "defaultInstanceId": "cri-ccccccccc", "acrInstancesConfig": []any{
		map[string]any{"instanceName": "name1", "instanceId": "cri-aaaaaaaaaaaa"}, map[string]any{"instanceName": "name2", "instanceId": "cri-bbbbbbbbbbbb"}}}
	if !reflect.DeepEqual(provider, want) {
		t.Errorf("authProvider: %v", provider)
	}
	if stores := in(found.get(t, "Verifier verifier-notation"), "spec", "parameters", "verificationCertStores"); !reflect.DeepEqual(stores,
		map[string]any{"certs": []any{"ratify-notation-inline-cert-0"}}) {
		t.Errorf("verificationCertStores: %v", stores)
	}
	found.get(t, "KeyManagementProvider ratify-notation-inline-cert-0")
	if role := found.get(t, "ServiceAccount ratify-admin").GetAnnotations()["pod-identity.alibabacloud.com/role-name"]; role != "ratify-role" {
		t.Errorf("role %q", role)
	}
}

// The guide's table of parameters writes ServiceAccount; its text, serviceAccount.
func TestServiceAccountInCapitals(t *testing.T) {
	found := mustRender(t, "ServiceAccount: {annotations: {pod-identity.alibabacloud.com/role-name: r}}")
	if role := found.get(t, "ServiceAccount ratify-admin").GetAnnotations()["pod-identity.alibabacloud.com/role-name"]; role != "r" {
		t.Errorf("role %q", role)
	}
	found = mustRender(t, "ServiceAccount: {create: false, name: mine}")
	if found["ServiceAccount mine"] != nil || in(found.get(t, "Deployment ratify"), "spec", "template", "spec", "serviceAccountName") != "mine" {
		t.Error("ServiceAccount.create and name do not count")
	}
}

func TestRRSAFromOneValue(t *testing.T) {
	found := mustRender(t, "alibabacloud: {rrsa: {roleName: r}}\nserviceAccount: {annotations: {a: b}}")
	if got := found.get(t, "ServiceAccount ratify-admin").GetAnnotations(); !reflect.DeepEqual(got, map[string]string{"a": "b", "pod-identity.alibabacloud.com/role-name": "r"}) {
		t.Errorf("annotations %v", got)
	}
	deployment := found.get(t, "Deployment ratify")
	if got := in(deployment, "spec", "template", "metadata", "labels", "pod-identity.alibabacloud.com/injection"); got != "on" {
		t.Errorf("the pod's label is %v", got)
	}
	if in(deployment, "spec", "selector", "matchLabels", "pod-identity.alibabacloud.com/injection") != nil {
		t.Error("the label is in the selector, which cannot change")
	}
}

// What is accepted and yet does not do what was meant is told after helm install.
func TestNotes(t *testing.T) {
	c, err := loader.Load(ours)
	if err != nil {
		t.Fatal(err)
	}
	for values, want := range map[string]string{
		"":                           "nobody is trusted yet",
		"notation: {enabled: false}": "no verifier is enabled",
		"image: {repository: ghcr.io/notaryproject/ratify}":                                "which is Ratify's own image",
		"alibabacloud: {rrsa: {roleName: r}}\nserviceAccount: {create: false, name: mine}": "annotate serviceaccount mine pod-identity.alibabacloud.com/role-name=r",
		"alibabacloudAcrConfig: {defaultInstanceId: cri-a}":                                "alibabacloudAcrConfig counts only with",
		"notationCerts: [CERTIFICATE]\ngatekeeper: {clientCertificate: {required: true}}":  "",
	} {
		manifests, err := inRatify.manifests(c, values)
		if err != nil {
			t.Fatal(err)
		}
		notes := manifests["ratify/templates/NOTES.txt"]
		if want == "" && (strings.Contains(notes, "WARNING") || !strings.Contains(notes, "helm test ratify")) || !strings.Contains(notes, want) {
			t.Errorf("%q: %s", values, notes)
		}
	}
}

// What users take away, or leave empty, may be so.
func TestNothingOfIt(t *testing.T) {
	mustRender(t, `
podLabels: null
podAnnotations: null
resources: null
affinity: null
tolerations: null
env: null
imagePullSecrets: null
notationCerts: null
crds: null
upgradeCRDs: null
replicaCount: null
serviceAccount: {annotations: null}`)
}

func TestSeveralAuthProviders(t *testing.T) {
	parameters := in(mustRender(t, everything).get(t, "Store store-oras"), "spec", "parameters").(map[string]any)
	if parameters["authProvider"] != nil {
		t.Error("authProvider besides authProviders")
	}
	var names []string
	for _, provider := range parameters["authProviders"].([]any) {
		names = append(names, provider.(map[string]any)["name"].(string))
	}
	if want := []string{"alibabacloudAcrBasic", "awsEcrBasic", "k8Secrets", "dockerConfig"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if parameters["allowAnonymous"] != false {
		t.Errorf("allowAnonymous: %v", parameters["allowAnonymous"])
	}
}

func TestKMSIsTrusted(t *testing.T) {
	found := mustRender(t, "alibabacloudkms: {enabled: true, refreshInterval: 5m, region: cn-hangzhou, certificates: [{secretName: s}]}\nnotationCerts: [one]")
	provider := found.get(t, "KeyManagementProvider kmprovider-alibabacloudkms")
	if want := map[string]any{"type": "alibabacloudkms", "refreshInterval": "5m", "parameters": map[string]any{"region": "cn-hangzhou",
		"certificates": []any{map[string]any{"secretName": "s"}}}}; !reflect.DeepEqual(in(provider, "spec"), want) {
		t.Errorf("spec %v", in(provider, "spec"))
	}
	if stores := in(found.get(t, "Verifier verifier-notation"), "spec", "parameters", "verificationCertStores", "certs"); !reflect.DeepEqual(stores,
		[]any{"kmprovider-alibabacloudkms", "ratify-notation-inline-cert-0"}) {
		t.Errorf("trusted: %v", stores)
	}
}

func TestClientCertificate(t *testing.T) {
	const flag = "--ca-cert-file=/usr/local/tls/client-ca/ca.crt"
	for name, c := range map[string]struct {
		namespace, values, secret string
	}{
		"in Gatekeeper's namespace":                 {"gatekeeper-system", "", "gatekeeper-webhook-server-cert"},
		"in another":                                {"ratify", "", ""},
		"in another that is Gatekeeper's":           {"ratify", "gatekeeper: {namespace: ratify}", "gatekeeper-webhook-server-cert"},
		"not required, in Gatekeeper's namespace":   {"gatekeeper-system", "gatekeeper: {clientCertificate: {required: false}}", ""},
		"required, in another, with a Secret there": {"ratify", "gatekeeper: {clientCertificate: {required: true, caSecret: mine}}", "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := release{namespace: c.namespace}.render(ours, c.values)
			if err != nil {
				t.Fatal(err)
			}
			deployment := found.get(t, "Deployment ratify")
			if required := slices.Contains(container(deployment)["args"].([]any), any(flag)); required != (c.secret != "") {
				t.Errorf("required: %v", required)
			}
			secret := ""
			for _, volume := range in(deployment, "spec", "template", "spec", "volumes").([]any) {
				if v := volume.(map[string]any); v["name"] == "client-ca-cert" {
					secret = v["secret"].(map[string]any)["secretName"].(string)
				}
			}
			if secret != c.secret {
				t.Errorf("from Secret %q, want %q", secret, c.secret)
			}
		})
	}
}

// The placeholder is what Gatekeeper accepts, and is the same for ever: an upgrade must not set back what Ratify wrote there.
func TestCABundle(t *testing.T) {
	for name, c := range map[string]struct {
		values string
		secret bool
		bundle string
	}{
		"rotated": {"", true, ""},
		"given":   {"provider: {tls: {crt: a, key: b, caCert: c, caKey: d, cabundle: ZQ==}}", true, "ZQ=="},
		"yours":   {"provider: {tls: {cabundle: ZQ==}}\nfeatureFlags: {RATIFY_CERT_ROTATION: false}", false, "ZQ=="},
	} {
		found := mustRender(t, c.values)
		if (found["Secret ratify-tls"] != nil) != c.secret {
			t.Errorf("%s: Secret %v", name, found["Secret ratify-tls"])
		}
		for _, provider := range []string{"Provider ratify-provider", "Provider ratify-mutation-provider"} {
			got := in(found.get(t, provider), "spec", "caBundle").(string)
			if c.bundle != "" && got != c.bundle {
				t.Errorf("%s: %s", name, got)
			}
			if c.bundle == "" && len(certificates(t, got)) != 1 {
				t.Errorf("%s: %s is no certificate", name, got)
			}
		}
	}
}

func TestSecretsOfOtherNamespaces(t *testing.T) {
	reads := func(role *unstructured.Unstructured) bool {
		for _, rule := range in(role, "rules").([]any) {
			r := rule.(map[string]any)
			if r["resourceNames"] == nil && slices.Contains(r["resources"].([]any), any("secrets")) {
				return true
			}
		}
		return false
	}
	for values, wide := range map[string]bool{"": true, "rbac: {clusterWideSecrets: false}": false} {
		found := mustRender(t, values)
		if reads(found.get(t, "ClusterRole ratify-manager-cluster-role")) != wide || reads(found.get(t, "Role ratify-manager-role")) == wide {
			t.Errorf("%q: the ClusterRole and the Role do not have what is asked for", values)
		}
	}
}
