package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// What ack-pod-identity-webhook looks for and gives (Container Service for Kubernetes, "Use RRSA to authorize different pods").
const (
	injectionLabel = "pod-identity.alibabacloud.com/injection"
	roleAnnotation = "pod-identity.alibabacloud.com/role-name"
	tokenVolume    = "rrsa-oidc-token"
	tokenFolder    = "/var/run/secrets/ack.alibabacloud.com/rrsa-tokens"
	// tokenSeconds is the life of a token; the kubelet replaces it after four fifths. It is the least that Kubernetes allows.
	tokenSeconds = 600
)

// cloudCA is a ConfigMap with the authority of the emulated cloud, which pods with an identity trust in place of the public ones.
const cloudCA = "emulated-cloud"

// podIdentity stands in for ack-pod-identity-webhook. It runs on the machine, where the API server calls it.
type podIdentity struct {
	e      *environment
	server *httptest.Server
}

type object = map[string]any

func startPodIdentity(ctx context.Context, e *environment) (*podIdentity, error) {
	authority, err := signing.Root("pod identity")
	if err != nil {
		return nil, err
	}
	identity, err := authority.Issue("webhook", signing.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, Change: func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}})
	if err != nil {
		return nil, err
	}
	p := &podIdentity{e: e}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.review))
	p.server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{
		{Certificate: [][]byte{identity.Chain[0].Raw}, PrivateKey: identity.Key}}}
	p.server.StartTLS()
	webhook := func(name string, selector object) object {
		hook := object{
			"name": name + ".pod-identity.alibabacloud.com", "admissionReviewVersions": []string{"v1"}, "sideEffects": "None", "failurePolicy": "Fail",
			"reinvocationPolicy": "Never", "timeoutSeconds": 10,
			"clientConfig": object{"url": p.server.URL, "caBundle": base64.StdEncoding.EncodeToString([]byte(authority.PEM()))},
			"rules":        []object{{"apiGroups": []string{""}, "apiVersions": []string{"v1"}, "operations": []string{"CREATE"}, "resources": []string{"pods"}}},
		}
		for key, value := range selector {
			hook[key] = value
		}
		return hook
	}
	on := object{"matchLabels": object{injectionLabel: "on"}}
	configuration, err := json.Marshal(object{
		"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": object{"name": "ack-pod-identity-webhook"},
		"webhooks": []object{webhook("namespace", object{"namespaceSelector": on}), webhook("pod", object{"objectSelector": on})},
	})
	if err != nil {
		return nil, err
	}
	return p, e.apply(ctx, string(configuration))
}

func (p *podIdentity) close() error {
	p.server.Close()
	return nil
}

// review answers an admission review about a pod (Kubernetes documentation, "Dynamic Admission Control").
func (p *podIdentity) review(w http.ResponseWriter, r *http.Request) {
	var review struct {
		Request struct {
			UID       string `json:"uid"`
			Namespace string `json:"namespace"`
			Object    pod    `json:"object"`
		} `json:"request"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<20)).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	response := object{"uid": review.Request.UID, "allowed": true}
	patch, err := p.patch(r.Context(), review.Request.Namespace, review.Request.Object)
	if err != nil {
		response = object{"uid": review.Request.UID, "allowed": false, "status": object{"message": err.Error()}}
	} else if len(patch) > 0 {
		encoded, _ := json.Marshal(patch)
		response["patchType"], response["patch"] = "JSONPatch", base64.StdEncoding.EncodeToString(encoded)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}

// pod is what matters of one here.
type pod struct {
	Spec struct {
		ServiceAccountName string      `json:"serviceAccountName"`
		Containers         []container `json:"containers"`
		InitContainers     []container `json:"initContainers"`
		Volumes            []named     `json:"volumes"`
	} `json:"spec"`
}

type container struct {
	Env          []named `json:"env"`
	VolumeMounts []named `json:"volumeMounts"`
}

type named struct {
	Name string `json:"name"`
}

// patch returns what a pod gets if its service account has a role: the token, and the environment that leads the SDKs to it.
func (p *podIdentity) patch(ctx context.Context, namespace string, pod pod) ([]object, error) {
	account := pod.Spec.ServiceAccountName
	if account == "" {
		account = "default"
	}
	role, err := p.e.kubectl(ctx, "get", "serviceaccount", account, "--namespace", namespace,
		"--output", `jsonpath={.metadata.annotations.`+strings.ReplaceAll(roleAnnotation, ".", `\.`)+`}`)
	if err != nil || role == "" {
		return nil, err
	}
	env := []object{
		{"name": "ALIBABA_CLOUD_ROLE_ARN", "value": fmt.Sprintf("acs:ram::%s:role/%s", ram.AccountID, role)},
		{"name": "ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "value": ram.ProviderARN},
		{"name": "ALIBABA_CLOUD_OIDC_TOKEN_FILE", "value": tokenFolder + "/token"},
		// Since version 0.4.0.
		{"name": "ALIBABA_CLOUD_STS_REGION", "value": "cn-hangzhou"},
		{"name": "ALIBABA_CLOUD_STS_ENDPOINT", "value": "sts-vpc.cn-hangzhou.aliyuncs.com"},
		{"name": "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", "value": "true"},
		// Not of the webhook: what makes the emulated cloud the real one.
		{"name": "SSL_CERT_FILE", "value": "/var/run/emulated-cloud/ca.pem"},
	}
	volumes := []object{
		{"name": tokenVolume, "projected": object{"sources": []object{{"serviceAccountToken": object{
			"audience": ram.Audience, "expirationSeconds": tokenSeconds, "path": "token"}}}}},
		{"name": cloudCA, "configMap": object{"name": cloudCA}},
	}
	mounts := []object{
		{"name": tokenVolume, "mountPath": tokenFolder, "readOnly": true},
		{"name": cloudCA, "mountPath": "/var/run/emulated-cloud", "readOnly": true},
	}
	if slices.ContainsFunc(pod.Spec.Volumes, func(v named) bool { return v.Name == tokenVolume }) {
		return nil, nil // the pod's label and its namespace's led here, and this is the second time
	}
	patch := appendTo("/spec/volumes", len(pod.Spec.Volumes), volumes)
	for kind, containers := range map[string][]container{"containers": pod.Spec.Containers, "initContainers": pod.Spec.InitContainers} {
		for i, c := range containers {
			at := fmt.Sprintf("/spec/%s/%d", kind, i)
			patch = append(patch, appendTo(at+"/env", len(c.Env), env)...)
			patch = append(patch, appendTo(at+"/volumeMounts", len(c.VolumeMounts), mounts)...)
		}
	}
	return patch, nil
}

// appendTo returns the operations of a JSON Patch (RFC 6902) that append items to a list, which is not there if it is empty.
func appendTo(list string, length int, items []object) []object {
	if length == 0 {
		return []object{{"op": "add", "path": list, "value": items}}
	}
	var patch []object
	for _, item := range items {
		patch = append(patch, object{"op": "add", "path": list + "/-", "value": item})
	}
	return patch
}
