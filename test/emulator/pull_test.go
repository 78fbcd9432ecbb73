package emulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	cr "github.com/alibabacloud-go/cr-20181201/v2/client"
	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/credentials-go/credentials"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	ggcr "github.com/google/go-containerregistry/pkg/v1/remote"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

// TestFromTokenToImage goes the whole way with the real SDKs: OIDC token, session, password, Bearer token, image.
func TestFromTokenToImage(t *testing.T) {
	cloud := start(t, emulator.Options{})
	add(t, cloud, emulator.Instance{Name: "old", NoReferrersAPI: true, Domains: []string{"registry.example.com"}})
	tests := []struct{ sts, cr, instance, push, pull string }{
		{"sts.aliyuncs.com", crHost, demoID, demoHost, demoHost},
		{stsHost, "cr-vpc.cn-hangzhou.aliyuncs.com", demoID, demoHost, "demo-registry-vpc.cn-hangzhou.cr.aliyuncs.com"},
		{"sts-vpc.cn-hangzhou.aliyuncs.com", crHost, demoID, demoHost, "demo-registry-vpc.distributed.cn-hangzhou.cr.aliyuncs.com"},
		{stsHost, crHost, "cri-old0000000000001", "old-registry.cn-hangzhou.cr.aliyuncs.com", "registry.example.com"},
	}
	for _, test := range tests {
		t.Run(test.pull, func(t *testing.T) {
			image := push(t, cloud, test.instance, test.push+"/team/app")
			cloud.ResetCalls()
			credential := password(t, crClient(t, cloud, test.cr, session(t, cloud, test.sts)), test.instance)
			r := repository(t, cloud.Transport(), test.pull+"/team/app", credential)
			resolved, err := r.Resolve(soon(t), "v1")
			if err != nil || resolved.Digest != image.Digest {
				t.Fatalf("Resolve: %v, error %v", resolved, err)
			}
			text, err := content.FetchAll(soon(t), r, resolved)
			if err != nil {
				t.Fatal(err)
			}
			var manifest ocispec.Manifest
			if err := json.Unmarshal(text, &manifest); err != nil {
				t.Fatal(err)
			}
			layer, err := content.FetchAll(soon(t), r, manifest.Layers[0])
			if err != nil || string(layer) != "a layer of "+test.push+"/team/app" {
				t.Errorf("layer %q, error %v", layer, err)
			}
			for host, action := range map[string]string{
				test.sts: "AssumeRoleWithOIDC", test.cr: "GetAuthorizationToken", authHost: "GET token",
				test.pull: "GET blobs",
			} {
				if got := cloud.Endpoint(host).CallsTo(action); got != 1 {
					t.Errorf("%d calls of %s to %s, want 1; all: %v", got, action, host, cloud.Calls())
				}
			}
		})
	}
}

func TestGoContainerRegistryAsOwner(t *testing.T) {
	cloud := start(t, emulator.Options{})
	image, err := random.Image(1<<10, 2)
	if err != nil {
		t.Fatal(err)
	}
	reference, err := name.ParseReference(demoHost + "/team/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	owner := ggcr.WithTransport(cloud.PushTransport(demoID))
	if err := ggcr.Write(reference, image, owner, ggcr.WithContext(soon(t))); err != nil {
		t.Fatal(err)
	}
	got, err := ggcr.Head(reference, owner, ggcr.WithContext(soon(t)))
	if want, _ := image.Digest(); err != nil || got.Digest != want {
		t.Errorf("Head: %v, error %v", got, err)
	}
	if err := ggcr.Delete(reference, owner, ggcr.WithContext(soon(t))); err != nil {
		t.Errorf("Delete: %v", err)
	}
	if _, err := ggcr.Head(reference, owner, ggcr.WithContext(soon(t))); err == nil {
		t.Error("the tag is still there")
	}
}

// pulled is what the child of TestUnmodifiedProgram reports.
type pulled struct{ Digest, Proxy string }

// pullAsAPodWould resolves an image with nothing but the environment: default credential chain, default endpoints.
func pullAsAPodWould(reference string) (pulled, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	credential, err := credentials.NewCredential(nil)
	if err != nil {
		return pulled{}, err
	}
	client, err := cr.NewClient(&openapi.Config{Credential: credential, RegionId: tea.String("cn-hangzhou")})
	if err != nil {
		return pulled{}, err
	}
	response, err := client.GetAuthorizationToken(&cr.GetAuthorizationTokenRequest{InstanceId: tea.String(demoID)})
	if err != nil {
		return pulled{}, err
	}
	r, err := remote.NewRepository(reference)
	if err != nil {
		return pulled{}, err
	}
	r.Client = &auth.Client{Client: http.DefaultClient, Credential: auth.StaticCredential(r.Reference.Registry, auth.Credential{
		Username: tea.StringValue(response.Body.TempUsername), Password: tea.StringValue(response.Body.AuthorizationToken)})}
	image, err := r.Resolve(ctx, r.Reference.Reference)
	return pulled{Digest: image.Digest.String(), Proxy: os.Getenv("HTTPS_PROXY")}, err
}

func TestUnmodifiedProgram(t *testing.T) {
	cloud := start(t, emulator.Options{})
	image := push(t, cloud, demoID, demoHost+"/team/app")
	child := exec.CommandContext(soon(t), os.Args[0])
	child.Env = append(cloud.PodEnv(), asChild+"="+demoHost+"/team/app:v1", "HOME="+t.TempDir())
	var stdout, stderr bytes.Buffer
	child.Stdout, child.Stderr = &stdout, &stderr
	if err := child.Run(); err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	var got pulled
	if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v", &stdout, err)
	}
	if got.Digest != image.Digest.String() || got.Proxy != cloud.ProxyURL() {
		t.Errorf("got %+v, want digest %s", got, image.Digest)
	}
	if n := cloud.Endpoint("sts.aliyuncs.com").CallsTo("AssumeRoleWithOIDC"); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
}

// TestPushesWithPasswords pushes as programs outside of the test do, which have no PushTransport.
func TestPushesWithPasswords(t *testing.T) {
	cloud := start(t, emulator.Options{})
	add(t, cloud, emulator.Instance{Name: "old", ID: "cri-old0000000000001", NoReferrersAPI: true})
	for id, host := range map[string]string{demoID: demoHost, "cri-old0000000000001": "old-registry.cn-hangzhou.cr.aliyuncs.com"} {
		user, fixed := cloud.OwnerPassword(id)
		for name, credential := range map[string]auth.Credential{
			"fixed":     {Username: user, Password: fixed},
			"temporary": password(t, crClient(t, cloud, crHost, accessKey(t, cloud)), id),
		} {
			cloud.RevokeBearers()
			r := repository(t, cloud.Transport(), host+"/team/"+name, credential)
			layer, err := oras.PushBytes(soon(t), r, "application/octet-stream", []byte(name))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Blobs().Delete(soon(t), layer); err != nil {
				t.Errorf("deleting with the %s password at %s: %v", name, host, err)
			}
		}
	}
	user, fixed := cloud.OwnerPassword(demoID)
	bearer := bearer(t, cloud, auth.Credential{Username: user, Password: fixed}, demoID, "registry:catalog:*")
	if got := getWithBearer(t, cloud, demoHost, "/v2/_catalog", bearer); got.StatusCode != http.StatusOK {
		t.Errorf("catalog: %s", got.Status)
	}
}

// TestByAddress pulls without the proxy: every host, the token service included, is found by address.
func TestByAddress(t *testing.T) {
	cloud := start(t, emulator.Options{})
	image := push(t, cloud, demoID, demoHost+"/team/app")
	transport := cloud.Transport()
	transport.Proxy = nil
	t.Cleanup(transport.CloseIdleConnections)
	credential := password(t, crClient(t, cloud, crHost, accessKey(t, cloud)), demoID)
	got, err := repository(t, transport, cloud.Addr(demoHost)+"/team/app", credential).Resolve(soon(t), "v1")
	if err != nil || got.Digest != image.Digest {
		t.Errorf("Resolve: %v, error %v", got, err)
	}
	client := crClient(t, cloud, cloud.Addr(crHost), accessKey(t, cloud))
	client.HttpsProxy = nil
	password(t, client, demoID)
}
