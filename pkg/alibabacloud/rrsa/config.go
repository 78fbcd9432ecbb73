package rrsa

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/endpoint"
)

// Environment variables that ack-pod-identity-webhook sets in the pod; the last three since its version 0.4.0.
const (
	EnvRoleARN            = "ALIBABA_CLOUD_ROLE_ARN"
	EnvOIDCProviderARN    = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
	EnvOIDCTokenFile      = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"
	EnvSTSEndpoint        = "ALIBABA_CLOUD_STS_ENDPOINT"
	EnvSTSRegion          = "ALIBABA_CLOUD_STS_REGION"
	EnvVPCEndpointEnabled = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED"
)

// EnvRoleSessionName names the session in the cloud's audit log. The user sets it, if anybody does.
const EnvRoleSessionName = "ALIBABA_CLOUD_ROLE_SESSION_NAME"

const (
	defaultSessionName = "ratify"
	defaultTimeout     = 5 * time.Second
)

// ErrNoIdentity is wrapped by the error of a Config that lacks what RRSA needs.
var ErrNoIdentity = errors.New("this pod has no RRSA identity")

// Config says which role to assume, and with which token.
type Config struct {
	RoleARN         string // of the RAM role
	OIDCProviderARN string // of the cluster's OIDC identity provider in RAM
	TokenFile       string // path of the OIDC token; it is read at each exchange, as the kubelet rotates it
	SessionName     string // 2 to 64 of A-Z a-z 0-9 . @ - _; default "ratify"
	Endpoint        string // host[:port] of STS; overrides Region and VPC
	Region          string // selects the regional endpoint sts.<region>; empty: sts.aliyuncs.com
	VPC             bool   // sts-vpc.<region> instead of sts.<region>

	Timeout   time.Duration                    // of one exchange, retries included; default 5 s
	Transport http.RoundTripper                // default http.DefaultTransport, which honours HTTPS_PROXY and SSL_CERT_FILE
	Now       func() time.Time                 // default time.Now
	Log       *slog.Logger                     // default slog.Default()
	OnRequest func(service string, status int) // told of each HTTP request, for metrics; status 0 is one without an answer
}

// FromEnv returns what the environment says.
func FromEnv() Config {
	return Config{
		RoleARN:         os.Getenv(EnvRoleARN),
		OIDCProviderARN: os.Getenv(EnvOIDCProviderARN),
		TokenFile:       os.Getenv(EnvOIDCTokenFile),
		SessionName:     os.Getenv(EnvRoleSessionName),
		Endpoint:        os.Getenv(EnvSTSEndpoint),
		Region:          os.Getenv(EnvSTSRegion),
		VPC:             strings.EqualFold(os.Getenv(EnvVPCEndpointEnabled), "true"),
	}
}

// sessionName is the RoleSessionName parameter of https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc.
var sessionName = regexp.MustCompile(`^[A-Za-z0-9.@_-]{2,64}$`)

// check completes c with the defaults and checks it.
func (c *Config) check() error {
	var missing []string
	for _, required := range []struct{ value, env string }{
		{c.RoleARN, EnvRoleARN}, {c.OIDCProviderARN, EnvOIDCProviderARN}, {c.TokenFile, EnvOIDCTokenFile},
	} {
		if required.value == "" {
			missing = append(missing, required.env)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: %s not set in its environment. The webhook ack-pod-identity-webhook sets it in pods that are created while "+
			"the namespace or pod has the label pod-identity.alibabacloud.com/injection: 'on' and the service account the annotation "+
			"pod-identity.alibabacloud.com/role-name: check that the add-on is installed and both are there, then restart the pod",
			ErrNoIdentity, strings.Join(missing, ", "))
	}
	if c.SessionName == "" {
		c.SessionName = defaultSessionName
	}
	if !sessionName.MatchString(c.SessionName) {
		return fmt.Errorf("role session name %q (%s): want 2 to 64 letters, digits, or any of . @ - _", c.SessionName, EnvRoleSessionName)
	}
	host, err := c.endpoint()
	if err != nil {
		return err
	}
	c.Endpoint = host
	if c.Timeout == 0 {
		c.Timeout = defaultTimeout
	}
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.OnRequest == nil {
		c.OnRequest = func(string, int) {}
	}
	return nil
}

// endpoint chooses among https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-endpoint. Without a region
// there is no VPC endpoint to choose, as each belongs to a region.
func (c *Config) endpoint() (string, error) {
	if c.Endpoint != "" {
		host, err := endpoint.Parse(c.Endpoint)
		if err != nil {
			return "", fmt.Errorf("STS endpoint (%s): %w", EnvSTSEndpoint, err)
		}
		return host, nil
	}
	region := c.Region
	if region == "" {
		return "sts.aliyuncs.com", nil
	}
	if err := endpoint.CheckRegion(region); err != nil {
		return "", fmt.Errorf("STS region (%s): %w", EnvSTSRegion, err)
	}
	if region == "cn-hangzhou-finance" { // it has no STS of its own
		region = "cn-hangzhou"
	}
	if c.VPC {
		return "sts-vpc." + region + ".aliyuncs.com", nil
	}
	return "sts." + region + ".aliyuncs.com", nil
}
