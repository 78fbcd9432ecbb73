package acr

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// target is the instance that serves a host, and how it was found.
type target struct {
	id       string
	region   string
	endpoint string // of the Container Registry API
	why      string // completes "instance cri-…, …"
	other    string // how to have another instance used
}

// regionsWithoutVPC have no VPC endpoint of the Container Registry API.
// See https://www.alibabacloud.com/help/en/acr/developer-reference/api-cr-2018-12-01-endpoint.
var regionsWithoutVPC = []string{"cn-huhehaote", "cn-wulanchabu", "cn-heyuan"}

// resolve finds the instance of host[:port]. lookUp finds the ID of an instance that is not configured.
func (c *Config) resolve(hostport string, lookUp func(Host) (string, error)) (target, error) {
	name := strings.TrimSuffix(strings.ToLower(hostport), ":443")
	for i, instance := range c.Instances {
		if slices.Contains(instance.Domains, name) {
			return c.target(instance, instance.Region, "configured for domain "+name,
				"correct "+indexed("acrInstancesConfig", i)), nil
		}
	}
	host, err := ParseHost(hostport)
	if err != nil {
		return target{}, err
	}
	for i, instance := range c.Instances {
		if instance.Name == host.Instance {
			return c.target(instance, host.Region, "configured for name "+host.Instance,
				"correct "+indexed("acrInstancesConfig", i)), nil
		}
	}
	add := fmt.Sprintf("add {instanceName: %s, instanceId: cri-…} to acrInstancesConfig", host.Instance)
	if c.DefaultInstanceID != "" && !c.DiscoverInstances {
		return c.target(Instance{ID: c.DefaultInstanceID}, host.Region, fmt.Sprintf("the default because %q is not in acrInstancesConfig", host.Instance), add), nil
	}
	id, err := lookUp(host)
	if err != nil {
		return target{}, err
	}
	return c.target(Instance{ID: id}, host.Region, "found by the name "+host.Instance, add), nil
}

func (c *Config) target(instance Instance, hostRegion, why, other string) target {
	t := target{id: instance.ID, region: cmp.Or(instance.Region, hostRegion, c.Region), why: why, other: other}
	t.endpoint = cmp.Or(instance.Endpoint, c.endpointOf(t.region))
	return t
}

// endpointOf returns the endpoint of the Container Registry API for region.
func (c *Config) endpointOf(region string) string {
	switch {
	case c.Endpoint != "":
		return c.Endpoint
	case c.Network == NetworkVPC && !slices.Contains(regionsWithoutVPC, region):
		return "cr-vpc." + region + ".aliyuncs.com"
	default:
		return "cr." + region + ".aliyuncs.com"
	}
}
