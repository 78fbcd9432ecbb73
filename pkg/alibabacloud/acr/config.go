package acr

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/identity"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/endpoint"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// EnvInstanceID is the default instance where the configuration names none.
const EnvInstanceID = "ALIBABA_CLOUD_ACR_INSTANCE_ID"

// Networks of the Container Registry API's endpoints.
const (
	NetworkVPC    = "vpc"
	NetworkPublic = "public"
)

const (
	defaultTimeout = 5 * time.Second
	// maxTimeout is twice the 30 s that Kubernetes grants an admission webhook at most: nobody waits longer.
	maxTimeout = time.Minute
)

// Config is the configuration of a Client. Make one with ParseConfig.
type Config struct {
	Name              string     `json:"name"`               // of the auth provider; not used here
	DefaultInstanceID string     `json:"defaultInstanceId"`  // for hosts whose instance is not in Instances; else EnvInstanceID
	Instances         []Instance `json:"acrInstancesConfig"` // by name or custom domain
	DiscoverInstances bool       `json:"discoverInstances"`  // look up instances that are not in Instances, even if there is a default

	Region   string        `json:"region"`   // of instances whose host does not name it
	Network  string        `json:"network"`  // NetworkVPC or NetworkPublic; default: VPC if ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED is true
	Endpoint string        `json:"endpoint"` // host[:port] of the Container Registry API, for all instances
	Timeout  time.Duration `json:"timeout"`  // of one call to STS or the Container Registry API, retries included; default 5 s

	// What the environment says of RRSA is overridden by these.
	STSEndpoint     string `json:"stsEndpoint"` // host[:port]
	RoleARN         string `json:"roleArn"`
	OIDCProviderARN string `json:"oidcProviderArn"`
	OIDCTokenFile   string `json:"oidcTokenFile"` // path
	RoleSessionName string `json:"roleSessionName"`

	Credential *identity.Credential `json:"credential"` // to use instead of RRSA
}

// Instance is one ACR Enterprise Edition instance.
type Instance struct {
	Name     string   `json:"instanceName"` // what precedes "-registry" in its hosts
	ID       string   `json:"instanceId"`   // cri-…
	Region   string   `json:"region"`       // default: the host's, else the Config's
	Domains  []string `json:"domains"`      // its custom domains, host[:port]
	Endpoint string   `json:"endpoint"`     // host[:port] of the Container Registry API for it
}

var (
	instanceID = regexp.MustCompile(`^cri-[a-z0-9]{1,64}$`)
	// instanceName follows the host, which is not case-sensitive; 3 to 30 characters are documented.
	instanceName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?$`)
)

// check completes c from the environment and with the defaults, and checks it.
func (c *Config) check() error {
	field := "defaultInstanceId"
	if c.DefaultInstanceID == "" {
		field, c.DefaultInstanceID = EnvInstanceID, os.Getenv(EnvInstanceID)
	}
	if c.DefaultInstanceID != "" && !instanceID.MatchString(c.DefaultInstanceID) {
		return wrong(field, "%q is not an instance ID such as cri-abcdefgh12345678", c.DefaultInstanceID)
	}
	if c.Network == "" {
		c.Network = NetworkPublic
		if rrsa.FromEnv().VPC {
			c.Network = NetworkVPC
		}
	}
	if !slices.Contains([]string{NetworkVPC, NetworkPublic}, c.Network) {
		return wrong("network", "want %s or %s, got %q", NetworkVPC, NetworkPublic, c.Network)
	}
	if c.Region == "" {
		c.Region = rrsa.FromEnv().Region
	}
	if err := checkRegion("region", c.Region); err != nil {
		return err
	}
	if err := checkEndpoint("endpoint", &c.Endpoint); err != nil {
		return err
	}
	if err := checkEndpoint("stsEndpoint", &c.STSEndpoint); err != nil {
		return err
	}
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Timeout < 0 || c.Timeout > maxTimeout {
		return wrong("timeout", "want more than 0 and at most %s, got %s", maxTimeout, c.Timeout)
	}
	if err := c.checkCredential(); err != nil {
		return err
	}
	return c.checkInstances()
}

func (c *Config) checkInstances() error {
	names, domains := make(map[string]string), make(map[string]string)
	for i := range c.Instances {
		instance, at := &c.Instances[i], indexed("acrInstancesConfig", i)
		if err := c.checkInstance(instance, at); err != nil {
			return err
		}
		if instance.Name = strings.ToLower(instance.Name); instance.Name != "" {
			if first, found := names[instance.Name]; found {
				return wrong(at+".instanceName", "%q is in %s already; names are not case-sensitive", instance.Name, first)
			}
			names[instance.Name] = at
		}
		for j, domain := range instance.Domains {
			name, err := endpoint.Parse(domain)
			if err != nil || strings.Contains(domain, "/") {
				return wrong(indexed(at+".domains", j), "%q is not a host or host:port such as registry.example.com", domain)
			}
			name = strings.TrimSuffix(strings.ToLower(name), ":443")
			if first, found := domains[name]; found {
				return wrong(indexed(at+".domains", j), "%q is in %s already", domain, first)
			}
			instance.Domains[j], domains[name] = name, at
		}
	}
	return nil
}

func (c *Config) checkInstance(instance *Instance, at string) error {
	switch host, err := ParseHost(instance.Name); {
	case err == nil:
		return wrong(at+".instanceName", "%q is a host; the name of its instance is %s", instance.Name, host.Instance)
	case instance.Name == "" && len(instance.Domains) == 0:
		return &ConfigError{Field: at + ".instanceName", Err: errEmpty}
	case instance.Name != "" && !instanceName.MatchString(instance.Name):
		return wrong(at+".instanceName", "%q is not the name of an instance: letters, digits and hyphens", instance.Name)
	case instance.ID == "":
		return &ConfigError{Field: at + ".instanceId", Err: errEmpty}
	case !instanceID.MatchString(instance.ID):
		return wrong(at+".instanceId", "%q is not an instance ID such as cri-abcdefgh12345678", instance.ID)
	case len(instance.Domains) > 0 && instance.Region == "" && c.Region == "":
		return wrong(at+".region", "is needed, as custom domains do not name one (or set the top-level region)")
	}
	if err := checkRegion(at+".region", instance.Region); err != nil {
		return err
	}
	return checkEndpoint(at+".endpoint", &instance.Endpoint)
}

func checkRegion(field, region string) error {
	if region == "" {
		return nil
	}
	if err := endpoint.CheckRegion(region); err != nil {
		return &ConfigError{Field: field, Err: err}
	}
	return nil
}

// checkEndpoint leaves only the host[:port] of a configured endpoint.
func checkEndpoint(field string, value *string) error {
	if *value == "" {
		return nil
	}
	host, err := endpoint.Parse(*value)
	if err != nil {
		return &ConfigError{Field: field, Err: err}
	}
	*value = host
	return nil
}
