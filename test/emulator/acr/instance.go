package acr

import (
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
	ID     string // empty: cri- and the name, filled up to 16 characters with zeros and a one
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
	if i.ID == "" {
		id := strings.ReplaceAll(i.Name, "-", "")
		id = id[:min(len(id), 15)]
		i.ID = "cri-" + id + strings.Repeat("0", 15-len(id)) + "1"
	}
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
	created time.Time
	backend backend
}
