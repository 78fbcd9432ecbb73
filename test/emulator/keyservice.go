package emulator

import (
	"cmp"
	"fmt"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
)

// KMS returns Key Management Service, to which keys and secrets are added.
func (c *Cloud) KMS() *kms.Service { return c.kms }

// AddKMSInstance adds a dedicated instance of KMS, such as kst-hzz0123456789, whose host is <id>.cryptoservice.kms.aliyuncs.com. Its region, which
// exists from now on, defaults to the cloud's. The host is verified with KMSInstanceCA and not with CAPEM.
func (c *Cloud) AddKMSInstance(id, region string) error {
	region = cmp.Or(region, c.o.Region)
	if !regionID.MatchString(region) {
		return fmt.Errorf("KMS instance %s: region: %q is not a region ID such as cn-hangzhou", id, region)
	}
	if err := c.kms.AddInstance(id, region); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.regions[region] = true
	return nil
}

// KMSInstanceCA returns the certificate that the host of a dedicated instance is verified with, in PEM.
func (c *Cloud) KMSInstanceCA(id string) []byte {
	ca, err := c.kms.InstanceCA(id)
	if err != nil {
		panic("emulator: " + err.Error())
	}
	return ca
}
