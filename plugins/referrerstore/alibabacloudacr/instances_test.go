package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/referrerstore/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// An instance is found by its name, its custom domain, its VPC host, and by looking it up, and asked for at the endpoint that is configured.
func TestInstances(t *testing.T) {
	w := newWorld(t)
	t.Setenv("ALIBABA_CLOUD_ACR_INSTANCE_ID", "")
	shop := scenario.Registry{Name: "shop", ID: "cri-shop000000000001", Region: "cn-hangzhou", Host: "shop-registry.cn-hangzhou.cr.aliyuncs.com"}
	const domain, vpc = "registry.example.com", "shop-registry-vpc.cn-hangzhou.cr.aliyuncs.com"
	if err := w.Cloud.AddInstance(emulator.Instance{Name: shop.Name, ID: shop.ID, Region: shop.Region, Domains: []string{domain}}); err != nil {
		t.Fatal(err)
	}
	_, subject := pushTo(t, w, shop, scenario.SignedJWS)
	byName := map[string]any{"instanceName": shop.Name, "instanceId": shop.ID}
	byDomain := map[string]any{"domains": []any{domain}, "instanceId": shop.ID, "region": shop.Region}
	for _, tt := range []struct {
		name, host, asked string
		provider          map[string]any
		says              string
	}{
		{"by name", shop.Host, "cr.cn-hangzhou.aliyuncs.com", map[string]any{"acrInstancesConfig": []any{byName}}, ""},
		{"in the VPC", vpc, "cr-vpc.cn-hangzhou.aliyuncs.com", map[string]any{"acrInstancesConfig": []any{byName}, "network": "vpc"}, ""},
		{"by domain", domain, "cr.cn-hangzhou.aliyuncs.com", map[string]any{"acrInstancesConfig": []any{byDomain}}, ""},
		{"looked up", shop.Host, "cr.cn-hangzhou.aliyuncs.com", map[string]any{"discoverInstances": true, "defaultInstanceId": scenario.Demo.ID}, ""},
		{"not there", strings.Replace(shop.Host, "shop", "none", 1), "cr.cn-hangzhou.aliyuncs.com", map[string]any{}, "none"},
		{"another's", shop.Host, "cr.cn-hangzhou.aliyuncs.com", map[string]any{"defaultInstanceId": scenario.Demo.ID}, scenario.Demo.ID},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.provider["name"] = "alibabacloudAcrBasic"
			s := open(t, config.StorePluginConfig{"name": "alibabacloudacr", "authProvider": tt.provider})
			w.Cloud.ResetCalls()
			path := tt.host + "/app"
			desc, err := s.GetSubjectDescriptor(t.Context(), common.Reference{Path: path, Digest: subject.Digest, Original: path + "@" + subject.Digest.String()})
			if tt.says != "" {
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("GetSubjectDescriptor() = %v, want %q", err, tt.says)
				}
				return
			}
			if err != nil || desc.Digest != subject.Digest || w.Cloud.Endpoint(tt.asked).Calls() == 0 {
				t.Errorf("GetSubjectDescriptor() = %v, %v; asked are %v", desc, err, w.Cloud.Calls())
			}
		})
	}
}

// What the registry sends is checked against its digest, and read no further than its size.
func TestUntrustedContent(t *testing.T) {
	w := newWorld(t)
	_, subject := push(t, w, scenario.SignedJWS)
	s := open(t, config.StorePluginConfig{"name": "alibabacloudacr"})
	signature, manifest := signatureOf(t, s, subject)
	at := func(part string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Method == http.MethodGet && strings.Contains(r.URL.Path, part) }
	}
	registry := w.Cloud.Endpoint(scenario.Demo.Host)
	for name, tt := range map[string]struct {
		fault emulator.Fault
		says  string
	}{"wrong bytes": {emulator.Fault{Corrupt: true}, "digest"}, "bytes without end": {emulator.Fault{Oversize: true}, "trailing data"}} {
		fault := tt.fault
		fault.Match = at("/blobs/")
		registry.SetFault(fault)
		if blob, err := s.GetBlobContent(t.Context(), subject, manifest.Blobs[0].Digest); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: a blob of %d bytes, %v", name, len(blob), err)
		}
		fault.Match = at("/manifests/")
		registry.SetFault(fault)
		if got, err := s.GetReferenceManifest(t.Context(), subject, signature); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: the manifest is %+v, %v", name, got, err)
		}
		registry.SetFault(emulator.Fault{})
	}
}
