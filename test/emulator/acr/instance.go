package acr

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
)

var (
	instanceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$`)
	instanceID   = regexp.MustCompile(`^cri-[a-z0-9]{16}$`)
	domainName   = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
)

// Instance is a registry instance.
type Instance struct {
	Name   string
	ID     string // empty: DefaultID of the name
	Region string
	// Domains are custom domains, beside those that every instance has.
	Domains []string
	// NoReferrersAPI puts distribution behind the instance: signatures are then found by the referrers tag schema.
	NoReferrersAPI bool
	// NoVPC leaves the instance without its VPC hosts.
	NoVPC bool
	// Denied withholds cr:GetAuthorizationToken on this instance from the role.
	Denied bool
}

// DefaultID returns the id of an instance that is added without one, such as cri-demo000000000001 for demo.
func DefaultID(name string) string {
	const size = 16
	letters := strings.ReplaceAll(name, "-", "")
	letters = letters[:min(len(letters), size-1)]
	return "cri-" + letters + strings.Repeat("0", size-1-len(letters)) + "1"
}

// Hosts returns the names that the instance's registry answers under, the public one first.
func (i Instance) Hosts() []string {
	hosts := []string{i.publicHost()}
	if !i.NoVPC {
		hosts = append(hosts, i.vpcHosts()...)
	}
	return append(hosts, i.Domains...)
}

func (i Instance) publicHost() string { return i.Name + "-registry." + i.Region + ".cr.aliyuncs.com" }

func (i Instance) vpcHosts() []string {
	return []string{
		i.Name + "-registry-vpc." + i.Region + ".cr.aliyuncs.com",
		i.Name + "-registry-vpc.distributed." + i.Region + ".cr.aliyuncs.com",
	}
}

// complete returns i with its id, all in lower case, or what is wrong with it.
func (i Instance) complete() (Instance, error) {
	if !instanceName.MatchString(i.Name) {
		return i, fmt.Errorf("instance name %q: must be 1 to 30 lower-case letters, digits and inner hyphens", i.Name)
	}
	i.ID = cmp.Or(i.ID, DefaultID(i.Name))
	if !instanceID.MatchString(i.ID) {
		return i, fmt.Errorf("instance %s: id %q: must be cri- and 16 lower-case letters and digits", i.Name, i.ID)
	}
	domains := make([]string, len(i.Domains))
	for n, domain := range i.Domains {
		domains[n] = strings.ToLower(domain)
		if !domainName.MatchString(domains[n]) {
			return i, fmt.Errorf("instance %s: domain %q is not a host name", i.Name, domain)
		}
	}
	i.Domains = domains
	return i, nil
}

// backend is a registry's implementation, without any authentication.
type backend interface {
	http.Handler
	Close() error
}

// instance is an Instance that is being served.
type instance struct {
	Instance
	created  time.Time
	password string // the owner's fixed one
	bearer   string // the owner's Bearer token
	backend  backend
}
