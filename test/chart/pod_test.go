package chart

import (
	"reflect"
	"slices"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	appsv1 "k8s.io/api/apps/v1"
	sigsyaml "sigs.k8s.io/yaml"
)

func TestPodIsHardened(t *testing.T) {
	for name, values := range map[string]string{"defaults": "", "everything": everything} {
		deployment := mustRender(t, values).get(t, "Deployment ratify")
		one := container(deployment)
		want := map[string]any{"seccompProfile": map[string]any{"type": "RuntimeDefault"}, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
			"runAsUser": float64(65532), "runAsGroup": float64(65532), "capabilities": map[string]any{"drop": []any{"ALL"}}}
		if !reflect.DeepEqual(one["securityContext"], want) {
			t.Errorf("%s: %v", name, one["securityContext"])
		}
		for _, probe := range []string{"livenessProbe", "readinessProbe", "resources"} {
			if one[probe] == nil {
				t.Errorf("%s: no %s", name, probe)
			}
		}
	}
}

// One value picks the image that has less, for the server and for helm test.
func TestSlimImage(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for values, want := range map[string]string{
		"":                                     ":v0.1.0",
		slim(""):                               ":v0.1.0-slim",
		slim(guide):                            ":v0.1.0-slim",
		"image: {variant: slim, tag: v9}":      ":v9-slim",
		"image: {variant: slim, tag: v9-slim}": ":v9-slim",
		"image: {variant: slim, digest: \"" + digest + "\"}": ":v0.1.0-slim@" + digest,
	} {
		found := mustRender(t, values)
		for _, image := range []any{container(found.get(t, "Deployment ratify"))["image"], in(found.get(t, "Pod ratify-test-connection"), "spec", "containers").([]any)[0].(map[string]any)["image"]} {
			if image != "ghcr.io/ratify-alibabacloud/ratify"+want {
				t.Errorf("%q: image %v", values, image)
			}
		}
	}
}

func TestOperations(t *testing.T) {
	found := mustRender(t, everything)
	deployment := found.get(t, "Deployment ratify")
	pod := in(deployment, "spec", "template", "spec").(map[string]any)
	if in(deployment, "spec", "replicas") != nil {
		t.Error("replicas and autoscaling: each upgrade would set the number back")
	}
	if image := container(deployment)["image"]; image != "ghcr.io/ratify-alibabacloud/ratify:v0.1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" {
		t.Errorf("image %v", image)
	}
	spread := pod["topologySpreadConstraints"].([]any)[0].(map[string]any)
	if selector := spread["labelSelector"]; !reflect.DeepEqual(selector, map[string]any{"matchLabels": in(deployment, "spec", "selector", "matchLabels")}) {
		t.Errorf("topologySpreadConstraints: %v", spread)
	}
	for field, want := range map[string]any{"priorityClassName": "system-cluster-critical", "imagePullSecrets": []any{map[string]any{"name": "mine"}},
		"nodeSelector": map[string]any{"kubernetes.io/arch": "amd64"}} {
		if !reflect.DeepEqual(pod[field], want) {
			t.Errorf("%s: %v", field, pod[field])
		}
	}
	monitor, service := found.get(t, "ServiceMonitor ratify"), found.get(t, "Service ratify-metrics")
	for key, value := range in(monitor, "spec", "selector", "matchLabels").(map[string]any) {
		if service.GetLabels()[key] != value {
			t.Errorf("the ServiceMonitor wants %s=%v, the Service has %q", key, value, service.GetLabels()[key])
		}
	}
	if found.get(t, "Service ratify").GetLabels()["app.kubernetes.io/component"] != "" {
		t.Error("the ServiceMonitor finds the Service of Gatekeeper, too")
	}
}

func TestPreStopNeedsKubernetes(t *testing.T) {
	for version, want := range map[string]bool{"v1.29.9": false, "v1.30.0": true, "v1.30.1-aliyun.1": true, "v1.34.0": true} {
		found, err := release{namespace: "ratify", kubernetes: version}.render(ours)
		if err != nil {
			t.Fatal(err)
		}
		if got := container(found.get(t, "Deployment ratify"))["lifecycle"] != nil; got != want {
			t.Errorf("%s: %v", version, got)
		}
	}
}

// Labels and annotations that both the values and the chart have are there once: YAML with a key twice is an error to some tools.
func TestPodMetadata(t *testing.T) {
	c, err := loader.Load(ours)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := inRatify.manifests(c, `
podLabels: {pod-identity.alibabacloud.com/injection: "on", app.kubernetes.io/name: mine, a: b}
podAnnotations: {prometheus.io/scrape: "false", c: d}
alibabacloud: {rrsa: {roleName: r}}`)
	if err != nil {
		t.Fatal(err)
	}
	var deployment appsv1.Deployment
	if err := sigsyaml.UnmarshalStrict([]byte(manifests["ratify/templates/deployment.yaml"]), &deployment); err != nil {
		t.Fatal(err)
	}
	labels, annotations := deployment.Spec.Template.Labels, deployment.Spec.Template.Annotations
	for key, value := range deployment.Spec.Selector.MatchLabels {
		if labels[key] != value {
			t.Errorf("the label %s is %s, the selector wants %s", key, labels[key], value)
		}
	}
	if labels["a"] != "b" || labels["pod-identity.alibabacloud.com/injection"] != "on" || annotations["prometheus.io/scrape"] != "false" || annotations["c"] != "d" {
		t.Errorf("labels %v, annotations %v", labels, annotations)
	}
}

// Helm reads numbers as floating-point ones, which templates print as 1e+06.
func TestLargeNumbers(t *testing.T) {
	args := container(mustRender(t, "provider: {cache: {cacheSizeMb: 1000000}}").get(t, "Deployment ratify"))["args"].([]any)
	if !slices.Contains(args, any("--cache-size=1000000")) {
		t.Errorf("args %q", args)
	}
}

func TestNoReplicas(t *testing.T) {
	if got := in(mustRender(t, "replicaCount: 0").get(t, "Deployment ratify"), "spec", "replicas"); got != float64(0) {
		t.Errorf("%v replicas", got)
	}
}

// A pod that the Service finds gets Gatekeeper's requests.
func TestTestPodIsNoReplica(t *testing.T) {
	found := mustRender(t, everything)
	labels := found.get(t, "Pod ratify-test-connection").GetLabels()
	for _, selector := range []any{
		in(found.get(t, "Service ratify"), "spec", "selector"), in(found.get(t, "Deployment ratify"), "spec", "selector", "matchLabels"),
		in(found.get(t, "NetworkPolicy ratify"), "spec", "podSelector", "matchLabels"), in(found.get(t, "PodDisruptionBudget ratify"), "spec", "selector", "matchLabels"),
	} {
		selected := true
		for key, value := range selector.(map[string]any) {
			selected = selected && labels[key] == value
		}
		if selected {
			t.Errorf("%v selects the pod of helm test: %v", selector, labels)
		}
	}
}
