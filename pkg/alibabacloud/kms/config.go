package kms

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/endpoint"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// Networks of the shared gateway's endpoints.
const (
	NetworkVPC    = "vpc"
	NetworkPublic = "public"
)

const (
	defaultTimeout = 10 * time.Second
	// maxTimeout is beyond what anybody waits for a signature; admission requests end after 30 s.
	maxTimeout = time.Minute
)

// Config is the configuration of an OpenAPI client.
type Config struct {
	Region   string // of the shared gateway; needed unless Endpoint is given and nothing that only the shared gateway answers is asked
	Network  string // NetworkVPC or NetworkPublic, of the shared gateway; default: VPC if ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED is true
	Endpoint string // host[:port] in place of the shared gateway's
	CABundle []byte // PEM: the authorities that Endpoint is verified with, instead of the system's
	Identity rrsa.Source
	Timeout  time.Duration // of one call, retries included; default 10 s

	Transport *http.Transport                  // default http.DefaultTransport, which honours HTTPS_PROXY and SSL_CERT_FILE
	Now       func() time.Time                 // default time.Now
	OnRequest func(service string, status int) // told of each request to "kms", for metrics; status 0 is one without an answer
}

// check completes c from the environment and with the defaults, and checks it. Errors are *parameter.Error.
func (c *Config) check() error {
	c.Network = cmp.Or(c.Network, defaultNetwork())
	if c.Network != NetworkVPC && c.Network != NetworkPublic {
		return parameter.Errorf("network", "want %s or %s, got %q", NetworkVPC, NetworkPublic, c.Network)
	}
	if c.Region == "" && c.Endpoint == "" {
		return parameter.Errorf("region", "is needed, unless endpoint is given")
	}
	if c.Region != "" {
		if err := endpoint.CheckRegion(c.Region); err != nil {
			return &parameter.Error{Field: "region", Err: err}
		}
	}
	if c.Endpoint == "" && len(c.CABundle) > 0 {
		return parameter.Errorf("caBundle", "is of a dedicated instance, whose endpoint is not given")
	}
	if c.Identity == nil {
		return errors.New("kms: Config.Identity is nil")
	}
	var err error
	if c.Endpoint != "" {
		if c.Endpoint, err = parseEndpoint(c.Endpoint); err != nil {
			return err
		}
	}
	if c.Timeout, err = checkTimeout(c.Timeout); err != nil {
		return err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.OnRequest == nil {
		c.OnRequest = func(string, int) {}
	}
	return nil
}

func parseEndpoint(s string) (string, error) {
	host, err := endpoint.Parse(s)
	if err != nil {
		return "", &parameter.Error{Field: "endpoint", Err: err}
	}
	return strings.ToLower(host), nil
}

func checkTimeout(d time.Duration) (time.Duration, error) {
	d = cmp.Or(d, defaultTimeout)
	if d < 0 || d > maxTimeout {
		return 0, parameter.Errorf("timeout", "want more than 0 and at most %s, got %s", maxTimeout, d)
	}
	return d, nil
}

// dedicatedHost matches <instance>.cryptoservice.kms.aliyuncs.com[:port].
var dedicatedHost = regexp.MustCompile(`^([a-z0-9-]+)\.cryptoservice\.kms\.aliyuncs\.com(:[0-9]+)?$`)

// dedicated tells whether a host[:port] is that of a dedicated instance.
func dedicated(host string) bool { return dedicatedHost.MatchString(host) }

// instanceOf returns the ID of the dedicated instance at host.
func instanceOf(host string) string { return dedicatedHost.FindStringSubmatch(host)[1] }

// orDefault returns base, or http.DefaultTransport if that is nil.
func orDefault(base *http.Transport) *http.Transport {
	if base == nil {
		return http.DefaultTransport.(*http.Transport)
	}
	return base
}

// trusting returns a copy of a transport that verifies servers with the authorities of caBundle, unless that is empty. An error is a
// *parameter.Error.
func trusting(base *http.Transport, caBundle []byte) (*http.Transport, error) {
	own := base.Clone()
	own.ForceAttemptHTTP2 = true // else a transport whose TLS configuration is given offers HTTP/2 and does not understand it
	if own.TLSClientConfig == nil {
		own.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if len(caBundle) == 0 {
		return own, nil
	}
	authorities, err := pemfile.Certificates(caBundle)
	if err != nil {
		return nil, &parameter.Error{Field: "caBundle", Err: err}
	}
	own.TLSClientConfig.RootCAs = x509.NewCertPool()
	for _, authority := range authorities {
		own.TLSClientConfig.RootCAs.AddCert(authority)
	}
	return own, nil
}
