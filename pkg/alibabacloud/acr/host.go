package acr

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ErrNotCovered is wrapped by the error of a host for which this package has no credentials. The text tells why, and what to use.
var ErrNotCovered = errors.New("not a registry of an ACR Enterprise Edition instance")

// Host is what the name of an instance's registry says.
type Host struct {
	Instance string // the instance's name
	Region   string // the ID of its region
}

// maxHost is the limit of a DNS name and a port.
const maxHost = 253 + len(":65535")

var (
	// enterprise matches <instance>-registry[-intl][-vpc|-internal][.distributed].<region>.cr.aliyuncs.com, with -intl before or after
	// the network. It is anchored at both ends: whoever matches gets credentials. So does the API's endpoint for the region, whose ID
	// begins with a country or continent: oss-cn-hangzhou is none, and cr-vpc.oss-cn-hangzhou.aliyuncs.com may be anybody's bucket.
	enterprise = regexp.MustCompile(`^([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)-registry` +
		`(?:-intl|-vpc|-internal|-intl-vpc|-vpc-intl|-intl-internal|-internal-intl)?` +
		`(?:\.distributed)?\.((?:[a-z]{2}|rus)(?:-[a-z0-9]+)+)\.cr\.aliyuncs\.com$`)
	// personal matches the hosts of the Personal Edition, old and new form.
	personal = regexp.MustCompile(`^(?:registry[a-z-]*(?:\.[a-z0-9-]+)?\.aliyuncs\.com|crpi-[a-z0-9-]+\.[a-z0-9-]+\.personal\.cr\.aliyuncs\.com)$`)
	chart    = regexp.MustCompile(`^[a-z0-9-]+-chart(?:-[a-z]+)*\.[a-z0-9.-]+\.cr\.aliyuncs\.com$`)
)

// ParseHost reads the host[:port] of an instance's registry, in any case of letters. The registries of ACR are at port 443: with
// another port, a host is not covered. The error wraps ErrNotCovered.
func ParseHost(hostport string) (Host, error) {
	name, ok := onTLSPort(hostport)
	switch m := enterprise.FindStringSubmatch(name); {
	case !ok && len(hostport) > maxHost:
		return Host{}, fmt.Errorf("a host of %d bytes is %w", len(hostport), ErrNotCovered)
	case m != nil && ok:
		return Host{Instance: m[1], Region: m[2]}, nil
	case m != nil:
		return Host{}, fmt.Errorf("%s is %w: those are at port 443, and credentials go to no other", hostport, ErrNotCovered)
	case personal.MatchString(name):
		return Host{}, fmt.Errorf("%s is %w but of the Personal Edition, which gives no temporary credentials to RAM roles: use the auth provider "+
			"dockerConfig or k8Secrets with the registry's fixed password, or move the image to an Enterprise Edition instance", hostport, ErrNotCovered)
	case chart.MatchString(name):
		return Host{}, fmt.Errorf("%s is %w but of Helm charts", hostport, ErrNotCovered)
	default:
		return Host{}, fmt.Errorf("%q is %w: if it is the custom domain of one, add it to the domains of that instance in acrInstancesConfig; "+
			"else use another auth provider for it", hostport, ErrNotCovered)
	}
}

// onTLSPort returns the lower-case name in hostport, and whether its port is 443 or not given.
func onTLSPort(hostport string) (string, bool) {
	if len(hostport) > maxHost {
		return "", false
	}
	name, port, found := strings.Cut(hostport, ":")
	return strings.ToLower(name), !found || port == "443"
}
