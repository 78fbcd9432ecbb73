package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/aws"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/azure"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/registry"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The rows for credentials and key material that other clouds, or the cluster, hold.
var cloudsRows = []row{
	{"Kubernetes", "image pull secrets", pullSecrets},
	{"Azure", "workload identity at Azure Container Registry", azureRegistry},
	{"Azure", "trust anchors in Key Vault", azureVault},
	{"AWS", "a role of the service account at ECR", awsRegistry},
}

func authProvider(block map[string]any) map[string]any {
	return orasStore(map[string]any{"authProvider": block})
}

func azureRegistry(ctx context.Context, e *environment) error {
	cloud, err := azure.Start(e.dir)
	if err != nil {
		return err
	}
	defer cloud.Close()
	e.env = cloud.PodEnv()
	i, t, err := signedAt(ctx, azure.RegistryHost, cloud.OpenRegistry(), "app")
	if err != nil {
		return err
	}
	return e.expectAll(ctx, t,
		expectation{i, authProvider(map[string]any{"name": "azureWorkloadIdentity"}), "verified", nil},
		expectation{i, authProvider(map[string]any{"name": "azureWorkloadIdentity", "clientID": "another"}), "undetermined", []string{"client another", "AADSTS700016"}},
		expectation{i, orasStore(nil), "undetermined", []string{azure.RegistryHost, "anonymous access"}})
}

func azureVault(ctx context.Context, e *environment) error {
	cloud, err := azure.Start(e.dir)
	if err != nil {
		return err
	}
	defer cloud.Close()
	e.env = cloud.PodEnv()
	signer, err := signing.SelfSigned("wabbit-networks.io")
	if err != nil {
		return err
	}
	stranger, err := signing.SelfSigned("stranger")
	if err != nil {
		return err
	}
	cloud.AddCertificate("signing", "v1", signer.PEM(), false)
	cloud.AddCertificate("leaked", "v1", stranger.PEM(), true)
	open := registry.New(nil)
	server := open.Serve(true)
	defer server.Close()
	config := e.world.Config(func(config map[string]any) {
		config["store"].(map[string]any)["plugins"] = []any{orasStore(nil)}
		config["keyManagementProvider"].(map[string]any)["plugins"] = []any{map[string]any{"name": "ratify-notation-inline-cert", "type": "azurekeyvault",
			"vaultURI": "https://" + azure.VaultHost, "tenantID": azure.TenantID, "clientID": azure.ClientID,
			"certificates": []any{map[string]any{"name": "signing"}, map[string]any{"name": "leaked"}}}}
	})
	good, err := signAt(ctx, server.Host, open.Open(), "vault/app", signer)
	if err != nil {
		return err
	}
	bad, err := signAt(ctx, server.Host, open.Open(), "vault/strange", stranger)
	if err != nil {
		return err
	}
	if err := e.admits(ctx, config, good.ref); err != nil {
		return err
	}
	return e.refuses(ctx, config, bad.ref, "no trust store holds the issuer of CN=stranger")
}

func awsRegistry(ctx context.Context, e *environment) error {
	cloud, err := aws.Start(e.dir)
	if err != nil {
		return err
	}
	defer cloud.Close()
	i, t, err := signedAt(ctx, aws.RegistryHost, cloud.Registry.Open(), "app")
	if err != nil {
		return err
	}
	store := authProvider(map[string]any{"name": "awsEcrBasic"})
	e.env = cloud.PodEnv()
	if err := e.expectAll(ctx, t, expectation{i, store, "verified", nil}); err != nil {
		return err
	}
	e.env = append(e.env, "AWS_ROLE_ARN="+aws.RoleARN+"-of-others")
	return e.expectAll(ctx, t, expectation{i, store, "undetermined", []string{"auth provider awsEcrBasic", "AccessDenied"}})
}

// serviceAccount is where the token of a pod's service account is; the path is fixed.
const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"

// asPod makes the row's ratify one that runs with a service account's token and certificate authority, in a mount namespace of its own.
func (e *environment) asPod(token string, ca []byte) error {
	for name, content := range map[string][]byte{"token": []byte(token), "ca.crt": ca} {
		if _, err := e.write(filepath.Join("serviceaccount", name), content); err != nil {
			return err
		}
	}
	path, err := e.write("pod", fmt.Appendf(nil, "mount -t tmpfs tmpfs /run && mkdir -p %s && cp %s/serviceaccount/* %s && exec %s \"$@\"\n",
		serviceAccount, e.dir, serviceAccount, e.ratify))
	if err != nil {
		return err
	}
	if e.ratify, err = e.write("ratify", []byte("#!/bin/sh\nexec unshare --map-root-user --mount sh "+path+" \"$@\"\n")); err != nil {
		return err
	}
	return os.Chmod(e.ratify, 0o700)
}

func pullSecrets(ctx context.Context, e *environment) error {
	const token = "token-of-ratify"
	g := locked()
	server := g.Serve(true)
	defer server.Close()
	i, t, err := signedAt(ctx, server.Host, g.Open(), "cluster/app")
	if err != nil {
		return err
	}
	secret := func(name, password string) core.Secret {
		return core.Secret{TypeMeta: meta.TypeMeta{Kind: "Secret", APIVersion: "v1"}, ObjectMeta: meta.ObjectMeta{Name: name},
			Type: core.SecretTypeDockerConfigJson, Data: map[string][]byte{core.DockerConfigJsonKey: dockerAuths(server.Host, password)}}
	}
	objects := map[string]any{
		"/api/v1/namespaces/gatekeeper-system/serviceaccounts/ratify-admin": core.ServiceAccount{
			TypeMeta: meta.TypeMeta{Kind: "ServiceAccount", APIVersion: "v1"}, ImagePullSecrets: []core.LocalObjectReference{{Name: "right"}}},
		"/api/v1/namespaces/gatekeeper-system/secrets/right": secret("right", dockerPassword),
		"/api/v1/namespaces/team-a/secrets/wrong":            secret("wrong", "battery-staple"),
	}
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		object, ok := objects[r.URL.Path]
		w.Header().Set("Content-Type", "application/json")
		if !ok || r.Header.Get("Authorization") != "Bearer "+token {
			w.WriteHeader(http.StatusForbidden)
			object = meta.Status{TypeMeta: meta.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: meta.StatusFailure,
				Code: http.StatusForbidden, Reason: meta.StatusReasonForbidden, Message: "forbidden"}
		}
		_ = json.NewEncoder(w).Encode(object)
	}))
	api.Config.ErrorLog = log.New(io.Discard, "", 0)
	api.StartTLS()
	defer api.Close()
	if err := e.asPod(token, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})); err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(api.Listener.Addr().String())
	if err != nil {
		return err
	}
	e.env = []string{"KUBERNETES_SERVICE_HOST=" + host, "KUBERNETES_SERVICE_PORT=" + port, "RATIFY_NAMESPACE=gatekeeper-system"}
	listed := func(namespace, name string) map[string]any {
		return authProvider(map[string]any{"name": "k8Secrets", "secrets": []any{map[string]any{"namespace": namespace, "secretName": name}}})
	}
	return e.expectAll(ctx, t,
		expectation{i, authProvider(map[string]any{"name": "k8Secrets", "serviceAccountName": "ratify-admin"}), "verified", nil},
		expectation{i, listed("gatekeeper-system", "right"), "verified", nil},
		expectation{i, listed("team-a", "wrong"), "undetermined", []string{"refused the credentials of auth provider k8Secrets"}},
		expectation{i, listed("team-b", "right"), "undetermined", []string{"Secret team-b/right", "RoleBinding"}})
}
