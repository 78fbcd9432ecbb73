package emulator

import (
	"cmp"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/acr"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/kms"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/network"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
)

// defaultRegion is where instances are that name no region.
const defaultRegion = "cn-hangzhou"

// Options for Start. The zero value is a cloud with the lifetimes of the real one.
type Options struct {
	Region          string        // default of Instance.Region; default cn-hangzhou
	SessionLifetime time.Duration // of STS sessions; default: as the request's DurationSeconds says (1 h)
	TokenLifetime   time.Duration // of temporary passwords; default 1 h, never beyond the session's end
	BearerLifetime  time.Duration // of the registries' Bearer tokens; default 5 min
	// ClusterKey is the public key that a real cluster's service account tokens, which it issues as ram.IssuerURL, are verified
	// with; default: tokens are the emulator's own (Token, WriteTokenFile, PodEnv), which there are none of with a cluster's key.
	ClusterKey crypto.PublicKey
	Now        func() time.Time // the cloud's clock, except for TLS; default time.Now
	Log        *slog.Logger     // gets TLS and HTTP errors at debug level; default: none
}

// Endpoint is one host of the cloud: its counters, latency and fault.
type Endpoint = network.Endpoint

// Fault is a way in which an Endpoint fails.
type Fault = network.Fault

// Instance is an instance of Container Registry, with the hosts that it is served under.
type Instance = acr.Instance

// TokenOptions describe an OIDC token. The zero value is what the role's trust policy allows, for an hour.
type TokenOptions = ram.TokenOptions

// Cloud is a running cloud. All methods are safe for concurrent use.
type Cloud struct {
	o         Options
	dir       string
	network   *network.Network
	directory *ram.Directory
	acr       *acr.Service
	kms       *kms.Service
	owner     *http.Transport // of all PushTransports

	mu      sync.Mutex
	regions map[string]bool
}

// Start starts a cloud. End it with Close.
func Start(o Options) (*Cloud, error) {
	o.Region = cmp.Or(o.Region, defaultRegion)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if !regionID.MatchString(o.Region) {
		return nil, fmt.Errorf("starting the emulator: %q is not a region ID such as cn-hangzhou", o.Region)
	}
	directory, err := ram.NewDirectory(o.Now)
	if err != nil {
		return nil, fmt.Errorf("starting the emulator: %w", err)
	}
	if o.ClusterKey != nil {
		directory.Issuer.Trust(o.ClusterKey)
	}
	c := &Cloud{o: o, directory: directory, regions: map[string]bool{o.Region: true}}
	c.acr = acr.New(acr.Options{
		Directory:      directory,
		Now:            o.Now,
		TokenLifetime:  o.TokenLifetime,
		BearerLifetime: o.BearerLifetime,
		Direct: func(host string) (string, error) {
			e, err := c.network.Endpoint(host)
			if err != nil {
				return "", err
			}
			return e.Addr(), nil
		},
	})
	c.kms = kms.New(kms.Options{Directory: directory, Now: o.Now, Region: o.Region})
	if c.network, err = network.New(c.resolve, o.Log); err != nil {
		return nil, err
	}
	c.owner = c.network.Transport()
	if c.dir, err = os.MkdirTemp("", "emulator-"); err == nil {
		err = os.WriteFile(c.CAFile(), c.CAPEM(), 0o600)
	}
	if err == nil && o.ClusterKey == nil {
		err = c.writeToken(TokenOptions{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the emulator: %w", err), c.Close())
	}
	return c, nil
}

// Close ends the cloud: listeners, connections, registries, files.
func (c *Cloud) Close() error {
	c.owner.CloseIdleConnections()
	errs := []error{c.network.Close(), c.acr.Close()}
	if c.dir != "" {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}

// ProxyURL returns the URL of the CONNECT proxy that leads to the cloud. It answers 502 for hosts that are not the cloud's,
// and counts the attempts: nothing leaves the machine.
func (c *Cloud) ProxyURL() string { return c.network.ProxyURL() }

// CAPEM returns the certificate of the cloud's own certificate authority, which all hosts but those of KMS instances are verified with.
func (c *Cloud) CAPEM() []byte { return c.network.CAPEM() }

// CAFile returns the path of a file with CAPEM.
func (c *Cloud) CAFile() string { return filepath.Join(c.dir, "ca.pem") }

// Transport returns a new transport that goes through the proxy and trusts the cloud.
func (c *Cloud) Transport() *http.Transport { return c.network.Transport() }

// Addr returns host:port at which a host is reached directly, over TLS, with a certificate that is also good for the address.
func (c *Cloud) Addr(host string) string { return c.Endpoint(host).Addr() }

// Endpoint returns a host of the cloud, such as "sts.cn-hangzhou.aliyuncs.com", "cr-vpc.cn-hangzhou.aliyuncs.com",
// "demo-registry.cn-hangzhou.cr.aliyuncs.com" or, for the token service, "dockerauth.cn-hangzhou.aliyuncs.com".
func (c *Cloud) Endpoint(host string) *Endpoint {
	e, err := c.network.Endpoint(host)
	if err != nil {
		panic("emulator: " + err.Error())
	}
	return e
}

// Calls returns the number of requests by "host action", attempts to reach unknown hosts included (as "host CONNECT").
//
// Actions are those of the API ("GetAuthorizationToken", or "Sign" of a KMS client key), "GET token" of the token service, and of registries the method with
// manifests, blobs, uploads, tags, referrers, catalog or base (which is /v2/).
func (c *Cloud) Calls() map[string]int { return c.network.Calls() }

// ResetCalls sets all counters to 0.
func (c *Cloud) ResetCalls() { c.network.ResetCalls() }
