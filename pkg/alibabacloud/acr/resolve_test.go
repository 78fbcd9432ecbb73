package acr

import (
	"errors"
	"strings"
	"testing"
)

func TestResolve(t *testing.T) {
	clearEnv(t)
	const configured = `
acrInstancesConfig:
- {instanceName: demo, instanceId: cri-demo}
- {instanceName: far, instanceId: cri-far, region: cn-beijing}
- {instanceName: own, instanceId: cri-own, endpoint: cr.example.com}
- {instanceId: cri-custom, region: cn-shanghai, domains: [Registry.example.com, "reg.example.com:8443"]}
`
	for name, tc := range map[string]struct{ config, host, id, endpoint, why string }{
		"by name":            {configured, "demo-registry.cn-hangzhou.cr.aliyuncs.com", "cri-demo", "cr.cn-hangzhou.aliyuncs.com", "name demo"},
		"by name, any case":  {configured, "Demo-Registry-vpc.cn-hangzhou.cr.aliyuncs.com:443", "cri-demo", "cr.cn-hangzhou.aliyuncs.com", "name demo"},
		"own region":         {configured, "far-registry.cn-hangzhou.cr.aliyuncs.com", "cri-far", "cr.cn-beijing.aliyuncs.com", ""},
		"own endpoint":       {configured + "endpoint: cr.all.example\n", "own-registry.cn-hangzhou.cr.aliyuncs.com", "cri-own", "cr.example.com", ""},
		"common endpoint":    {configured + "endpoint: cr.all.example\n", "demo-registry.cn-hangzhou.cr.aliyuncs.com", "cri-demo", "cr.all.example", ""},
		"custom domain":      {configured, "registry.Example.com:443", "cri-custom", "cr.cn-shanghai.aliyuncs.com", "domain registry.example.com"},
		"domain with port":   {configured, "reg.example.com:8443", "cri-custom", "cr.cn-shanghai.aliyuncs.com", ""},
		"default":            {configured + "defaultInstanceId: cri-default\n", "other-registry.cn-hangzhou.cr.aliyuncs.com", "cri-default", "cr.cn-hangzhou.aliyuncs.com", `default because "other"`},
		"default not needed": {configured + "defaultInstanceId: cri-default\n", "demo-registry.cn-hangzhou.cr.aliyuncs.com", "cri-demo", "cr.cn-hangzhou.aliyuncs.com", ""},
		"no default":         {configured, "other-registry.cn-hangzhou.cr.aliyuncs.com", "cri-found", "cr.cn-hangzhou.aliyuncs.com", "found"},
		"discovery first":    {"{defaultInstanceId: cri-default, discoverInstances: true}", "other-registry.cn-hangzhou.cr.aliyuncs.com", "cri-found", "cr.cn-hangzhou.aliyuncs.com", "found"},
		"vpc":                {configured + "network: vpc\n", "demo-registry.cn-hangzhou.cr.aliyuncs.com", "cri-demo", "cr-vpc.cn-hangzhou.aliyuncs.com", ""},
		"vpc, none there":    {configured + "network: vpc\n", "demo-registry-vpc.cn-heyuan.cr.aliyuncs.com", "cri-demo", "cr.cn-heyuan.aliyuncs.com", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parse(t, tc.config)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.resolve(tc.host, func(h Host) (string, error) {
				if h != (Host{"other", "cn-hangzhou"}) {
					t.Errorf("looked up %+v", h)
				}
				return "cri-found", nil
			})
			if err != nil || got.id != tc.id || got.endpoint != tc.endpoint || !strings.Contains(got.why, tc.why) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestResolveNotCovered(t *testing.T) {
	clearEnv(t)
	c, err := parse(t, "{defaultInstanceId: cri-default, acrInstancesConfig: [{instanceId: cri-a, region: cn-hangzhou, domains: [reg.example.com]}]}")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"reg.example.com:8443", "x.reg.example.com", "reg.example.com.evil.example", "docker.io", "registry.cn-hangzhou.aliyuncs.com"} {
		if got, err := c.resolve(host, nil); !errors.Is(err, ErrNotCovered) {
			t.Errorf("%s: %+v, %v; want ErrNotCovered", host, got, err)
		}
	}
}
