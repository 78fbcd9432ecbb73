package emulator

import (
	"regexp"
	"slices"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/acr"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/network"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/sts"
)

var regionID = regexp.MustCompile(`^[a-z]{2}(-[a-z0-9]+)+$`)

// regions are those that Container Registry has endpoints in. A cloud also has the region of each of its instances.
// See https://www.alibabacloud.com/help/en/acr/developer-reference/api-cr-2018-12-01-endpoint.
var regions = []string{
	"ap-northeast-1", "ap-northeast-2", "ap-southeast-1", "ap-southeast-3", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7",
	"cn-beijing", "cn-chengdu", "cn-fuzhou", "cn-guangzhou", "cn-hangzhou", "cn-heyuan", "cn-hongkong", "cn-huhehaote",
	"cn-nanjing", "cn-qingdao", "cn-shanghai", "cn-shenzhen", "cn-wulanchabu", "cn-zhangjiakou",
	"eu-central-1", "eu-west-1", "me-central-1", "me-east-1", "us-east-1", "us-west-1",
}

// withoutVPC are the regions whose API has no VPC endpoint (same page).
var withoutVPC = []string{"cn-heyuan", "cn-huhehaote", "cn-wulanchabu"}

// resolve is the cloud's name service.
func (c *Cloud) resolve(host string) network.Service {
	if registry := c.acr.Registry(host); registry != nil {
		return registry
	}
	if instance := c.kms.Instance(host); instance != nil {
		return instance
	}
	if host == "sts.aliyuncs.com" {
		return c.sts(host)
	}
	name, found := strings.CutSuffix(host, ".aliyuncs.com")
	product, region, regional := strings.Cut(name, ".")
	if !found || !regional || !c.hasRegion(region) {
		return nil
	}
	switch {
	case product == "sts", product == "sts-vpc":
		return c.sts(host)
	case product == "cr", product == "cr-vpc" && !slices.Contains(withoutVPC, region):
		return c.acr.API(region, host)
	case product == "kms", product == "kms-vpc":
		return c.kms.API(region, host)
	case host == acr.TokenHost(region):
		return c.acr.TokenService(region)
	}
	return nil
}

func (c *Cloud) sts(host string) network.Service {
	return &sts.Service{Host: host, Directory: c.directory, Lifetime: c.o.SessionLifetime}
}

func (c *Cloud) hasRegion(region string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.regions[region] || slices.Contains(regions, region)
}
