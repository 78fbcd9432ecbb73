package referrerstore

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/emulatortest"
)

const (
	demoID    = "cri-demo000000000001"
	demoHost  = "demo-registry.cn-hangzhou.cr.aliyuncs.com"
	authHost  = "dockerauth.cn-hangzhou.aliyuncs.com"
	stsHost   = "sts.aliyuncs.com"
	crHost    = "cr.cn-hangzhou.aliyuncs.com"
	oldID     = "cri-old0000000000001"
	oldHost   = "old-registry.cn-hangzhou.cr.aliyuncs.com"
	otherID   = "cri-other00000000001"
	otherHost = "other-registry.cn-hangzhou.cr.aliyuncs.com"
)

// cloud is an emulated cloud and what a pod needs to use it.
type cloud struct {
	*emulator.Cloud
	t     testing.TB
	clock *testclock.Clock
}

func startCloud(t testing.TB) *cloud {
	t.Helper()
	clock := testclock.At(time.Now()) // the clock of TLS cannot be set
	c := emulatortest.Start(t, emulator.Options{Now: clock.Now, BearerLifetime: 5 * time.Minute})
	for _, i := range []emulator.Instance{{Name: "demo", ID: demoID}, {Name: "old", ID: oldID, NoReferrersAPI: true}, {Name: "other", ID: otherID}} {
		if err := c.AddInstance(i); err != nil {
			t.Fatal(err)
		}
	}
	return &cloud{Cloud: c, t: t, clock: clock}
}

// store is configured as the chart does it.
func (c *cloud) store() *Store {
	c.t.Helper()
	cloudTransport := c.Transport()
	s, err := New(storeconfig.StorePluginConfig{
		"name": "oras", "cosignEnabled": true, "cacheEnabled": true, "ttl": 10,
		"authProvider": map[string]any{
			"name": "alibabacloudAcrBasic", "defaultInstanceId": demoID, "timeout": "30s",
			"roleArn": c.RoleARN(), "oidcProviderArn": c.OIDCProviderARN(), "oidcTokenFile": c.WriteTokenFile(emulator.TokenOptions{}),
			"acrInstancesConfig": []any{map[string]any{"instanceName": "old", "instanceId": oldID}},
		},
	}, "1.0.0", Options{
		Transport: c.Transport(), Now: c.clock.Now, Log: slog.New(slog.DiscardHandler), timeout: forever,
		NewAuthProvider: func(block map[string]any) (authprovider.AuthProvider, error) {
			return authprovider.New(block, authprovider.Options{Transport: cloudTransport, Now: c.clock.Now, Log: slog.New(slog.DiscardHandler)})
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		s.Close()
		cloudTransport.CloseIdleConnections()
	})
	return s
}

// image pushes an image with one signature.
func (c *cloud) image(id, host, name, signature string) common.Reference {
	c.t.Helper()
	repository, err := remote.NewRepository(host + "/" + name)
	if err != nil {
		c.t.Fatal(err)
	}
	repository.Client = &http.Client{Transport: c.PushTransport(id)}
	image, err := oras.PackManifest(c.t.Context(), repository, oras.PackManifestVersion1_1, "application/test", oras.PackManifestOptions{
		ManifestAnnotations: map[string]string{"org.example.name": name + signature}})
	if err != nil {
		c.t.Fatal(err)
	}
	blob := content.NewDescriptorFromBytes("application/jose+json", []byte(signature))
	if err := repository.Push(c.t.Context(), blob, bytes.NewReader([]byte(signature))); err != nil {
		c.t.Fatal(err)
	}
	if _, err := oras.PackManifest(c.t.Context(), repository, oras.PackManifestVersion1_1, signatureType, oras.PackManifestOptions{
		Subject: &image, Layers: []ocispec.Descriptor{blob}}); err != nil {
		c.t.Fatal(err)
	}
	path := host + "/" + name
	return common.Reference{Path: path, Digest: image.Digest, Original: path + "@" + image.Digest.String()}
}

func TestCloud(t *testing.T) {
	c := startCloud(t)
	image := c.image(demoID, demoHost, "team/app", "signature 1")
	second := c.image(demoID, demoHost, "team/other", "signature 2")
	old := c.image(oldID, oldHost, "team/app", "signature 3")
	s := c.store()
	calls := func(what string, want map[string]int) {
		t.Helper()
		if got := c.Calls(); !maps.Equal(got, want) {
			t.Errorf("%s: calls %v, want %v", what, got, want)
		}
		c.ResetCalls()
	}
	c.ResetCalls()
	wantBlobs(t, s, image, "signature 1")
	calls("cold", map[string]int{stsHost + " AssumeRoleWithOIDC": 1, crHost + " GetAuthorizationToken": 1, authHost + " GET token": 1, demoHost + " GET base": 1,
		demoHost + " HEAD manifests": 2, demoHost + " GET referrers": 1, demoHost + " GET manifests": 1, demoHost + " GET blobs": 1}) // one HEAD is cosign's
	wantBlobs(t, s, second, "signature 2")
	calls("known registry", map[string]int{authHost + " GET token": 1,
		demoHost + " HEAD manifests": 2, demoHost + " GET referrers": 1, demoHost + " GET manifests": 1, demoHost + " GET blobs": 1})
	wantBlobs(t, s, second, "signature 2")
	calls("known image", map[string]int{})
	wantBlobs(t, s, old, "signature 3")
	calls("without referrers API", map[string]int{crHost + " GetAuthorizationToken": 1, authHost + " GET token": 1, oldHost + " GET base": 1,
		oldHost + " HEAD manifests": 2, oldHost + " GET referrers": 1, oldHost + " GET manifests": 2, oldHost + " GET blobs": 1})

	c.clock.Advance(11 * time.Second)
	c.RevokeBearers()
	wantBlobs(t, s, image, "signature 1")
	c.clock.Advance(11 * time.Second)
	c.RevokeBearers()
	c.RevokePasswords()
	wantBlobs(t, s, image, "signature 1")

	other := c.image(otherID, otherHost, "app", "signature 4")
	_, err := s.GetSubjectDescriptor(t.Context(), other)
	wantError(t, err, otherHost, demoID)
	_, err = s.GetSubjectDescriptor(t.Context(), common.Reference{Path: "registry.cn-hangzhou.aliyuncs.com/team/app", Tag: "v1"})
	if err == nil {
		t.Error("an unknown host was resolved")
	}
}

func TestCloudConcurrently(t *testing.T) {
	c := startCloud(t)
	var images []common.Reference
	for i := range 10 {
		images = append(images, c.image(demoID, demoHost, fmt.Sprint("app", i%3), fmt.Sprint("signature ", i)))
	}
	c.ResetCalls()
	s := c.store()
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			i := n % len(images)
			if blobs, err := verify(t.Context(), s, images[i]); err != nil || len(blobs) != 1 || blobs[0] != fmt.Sprint("signature ", i) {
				t.Errorf("%q, %v", blobs, err)
			}
		})
	}
	wg.Wait()
	want := map[string]int{stsHost + " AssumeRoleWithOIDC": 1, crHost + " GetAuthorizationToken": 1, authHost + " GET token": 3, demoHost + " GET base": 1,
		demoHost + " HEAD manifests": 20, demoHost + " GET referrers": 10, demoHost + " GET manifests": 10, demoHost + " GET blobs": 10}
	if got := c.Calls(); !maps.Equal(got, want) {
		t.Errorf("calls %v, want %v", got, want)
	}
}

func TestCloudFaults(t *testing.T) {
	for name, fault := range map[string]emulator.Fault{
		"hang": {Hang: true}, "reset": {Reset: true}, "drip": {Drip: true}, "corrupt": {Corrupt: true}, "oversize": {Oversize: true},
		"busy":    {Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"86400"}}},
		"failing": {Status: http.StatusServiceUnavailable, Body: "<html>"},
		"denying": {Status: http.StatusForbidden, Body: `{"errors":[{"code":"DENIED","message":"no"}],"Code":"NoPermission","RequestId":"1"}`},
	} {
		for _, host := range []string{stsHost, crHost, authHost, demoHost} {
			t.Run(name+" "+host, func(t *testing.T) {
				t.Parallel()
				c := startCloud(t)
				image := c.image(demoID, demoHost, "team/app", "signature")
				ctx, arrived := untilReached(t)
				fault := fault // not that of the other hosts, whose tests run at the same time
				if fault.Hang || fault.Drip {
					fault.Match = func(*http.Request) bool { arrived(); return true }
				}
				c.Endpoint(host).SetFault(fault)
				s := c.store()
				blobs, err := verify(ctx, s, image)
				c.Endpoint(host).SetFault(emulator.Fault{})
				switch {
				case err == nil && name == "oversize" && len(blobs) == 1 && blobs[0] == "signature":
					// white space after the right answer
				case err == nil && len(blobs) == 0:
					t.Error("no signatures where there is one")
				case err == nil:
					t.Errorf("no error, %q", blobs)
				case !strings.Contains(err.Error(), host):
					t.Errorf("%q does not name %s", err, host)
				case errors.Is(err, ErrNotFound), errors.Is(err, ErrLimit), errors.Is(err, ErrMalformed):
					t.Errorf("%q passes for a fact about the artifact", err)
				}
				wantAfterFault(t, s, image)
			})
		}
	}
}
