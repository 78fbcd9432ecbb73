package cluster

import (
	"context"
	_ "embed"
	"os"
	"strings"
)

// dnsManifest has placeholders: DNS_IP, NODE_IP, DNS_IMAGE and ZONE.
//
//go:embed coredns.yaml
var dnsManifest string

// DNSImage is the name of CoreDNS's image, which Start has to be given.
const DNSImage = "e2e.local/coredns:1"

// PauseImage is the name of the image of pods' sandboxes, which Start has to be given.
const PauseImage = pauseImage

func (c *Cluster) startDNS(ctx context.Context) error {
	manifest := strings.NewReplacer("DNS_IP", dnsIP, "NODE_IP", NodeIP, "ZONE", c.o.Zone, "DNS_IMAGE", DNSImage).Replace(dnsManifest)
	file := c.path("run/coredns.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		return err
	}
	if _, err := c.kubectl(ctx, "apply", "-f", file); err != nil {
		return err
	}
	_, err := c.kubectl(ctx, "rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout="+readyTime.String(), "--request-timeout=0")
	return err
}
