package emulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	cr "github.com/alibabacloud-go/cr-20181201/v2/client"
	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/credentials-go/credentials"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
)

const (
	demoID   = "cri-demo000000000001"
	demoHost = "demo-registry.cn-hangzhou.cr.aliyuncs.com"
	stsHost  = "sts.cn-hangzhou.aliyuncs.com"
	crHost   = "cr.cn-hangzhou.aliyuncs.com"
	authHost = "dockerauth.cn-hangzhou.aliyuncs.com"
)

// start starts a cloud with the instance demo.
func start(t *testing.T, o emulator.Options) *emulator.Cloud {
	t.Helper()
	cloud := emulatortest.Start(t, o)
	add(t, cloud, emulator.Instance{Name: "demo", ID: demoID})
	return cloud
}

func add(t *testing.T, cloud *emulator.Cloud, i emulator.Instance) {
	t.Helper()
	if err := cloud.AddInstance(i); err != nil {
		t.Fatal(err)
	}
}

// trust lets clients on top of http.DefaultTransport trust the cloud during the test, as SSL_CERT_FILE does for a process.
func trust(t *testing.T, cloud *emulator.Cloud) {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport)
	before := transport.TLSClientConfig
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cloud.CAPEM())
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	t.Cleanup(func() { transport.TLSClientConfig = before })
}

// session returns a credential of credentials-go's OIDC provider, which has not asked for anything yet.
func session(t *testing.T, cloud *emulator.Cloud, stsHost string) credentials.Credential {
	t.Helper()
	trust(t, cloud)
	credential, err := credentials.NewCredential(new(credentials.Config).
		SetType("oidc_role_arn").
		SetRoleArn(cloud.RoleARN()).
		SetOIDCProviderArn(cloud.OIDCProviderARN()).
		SetOIDCTokenFilePath(cloud.WriteTokenFile(emulator.TokenOptions{})).
		SetRoleSessionName("test").
		SetSTSEndpoint(stsHost).
		SetProxy(cloud.ProxyURL()))
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

// proxyOf returns the URL of the cloud's proxy with a path that no other client has. The SDK keeps connections and trusted authorities for the life
// of the process, by the host asked and the proxy: one whose port an earlier cloud had would have the trust of that.
func proxyOf(cloud *emulator.Cloud) string {
	return fmt.Sprintf("%s/%d", cloud.ProxyURL(), clients.Add(1))
}

var clients atomic.Int64 // that proxyOf was called for

// crClient returns Container Registry's SDK client, led to the cloud by nothing but a proxy and a CA.
func crClient(t *testing.T, cloud *emulator.Cloud, endpoint string, credential credentials.Credential) *cr.Client {
	t.Helper()
	client, err := cr.NewClient(&openapi.Config{
		Credential: credential,
		Endpoint:   tea.String(endpoint),
		HttpsProxy: tea.String(proxyOf(cloud)),
		Ca:         tea.String(string(cloud.CAPEM())),
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// accessKey returns a credential with an access key of the account.
func accessKey(t *testing.T, cloud *emulator.Cloud) credentials.Credential {
	t.Helper()
	id, secret := cloud.AddAccessKey()
	return static(t, id, secret, "")
}

func static(t *testing.T, id, secret, token string) credentials.Credential {
	t.Helper()
	config := new(credentials.Config).SetType("access_key").SetAccessKeyId(id).SetAccessKeySecret(secret)
	if token != "" {
		config.SetType("sts").SetSecurityToken(token)
	}
	credential, err := credentials.NewCredential(config)
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

// password asks for a temporary password of an instance.
func password(t *testing.T, client *cr.Client, instanceID string) auth.Credential {
	t.Helper()
	response, err := client.GetAuthorizationToken(&cr.GetAuthorizationTokenRequest{InstanceId: tea.String(instanceID)})
	if err != nil {
		t.Fatal(err)
	}
	if !tea.BoolValue(response.Body.IsSuccess) || tea.StringValue(response.Body.Code) != "success" {
		t.Fatalf("refused: %v", response.Body)
	}
	return auth.Credential{Username: tea.StringValue(response.Body.TempUsername), Password: tea.StringValue(response.Body.AuthorizationToken)}
}

// repository returns a client of a repository. A nil credential is anonymous.
func repository(t *testing.T, transport http.RoundTripper, reference string, credential auth.Credential) *remote.Repository {
	t.Helper()
	r, err := remote.NewRepository(reference)
	if err != nil {
		t.Fatal(err)
	}
	r.Client = &auth.Client{
		Client:     &http.Client{Transport: transport},
		Cache:      auth.NewCache(),
		Credential: auth.StaticCredential(r.Reference.Registry, credential),
	}
	return r
}

// push pushes an image of one blob as the owner and tags it v1.
func push(t *testing.T, cloud *emulator.Cloud, instanceID, reference string) ocispec.Descriptor {
	t.Helper()
	r := repository(t, cloud.PushTransport(instanceID), reference, auth.EmptyCredential)
	layer, err := oras.PushBytes(t.Context(), r, "application/octet-stream", []byte("a layer of "+reference))
	if err != nil {
		t.Fatal(err)
	}
	image, err := oras.PackManifest(t.Context(), r, oras.PackManifestVersion1_1, "application/vnd.test.image",
		oras.PackManifestOptions{Layers: []ocispec.Descriptor{layer}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Tag(t.Context(), image, "v1"); err != nil {
		t.Fatal(err)
	}
	return image
}

// soon bounds a call that should not take long.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}
