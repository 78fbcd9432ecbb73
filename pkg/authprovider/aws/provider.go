package aws

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/httplimit"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

// Name is the provider's name in configurations.
const Name = "awsEcrBasic"

const (
	// callTimeout bounds one request to STS or ECR, also where the SDK goes on without its caller's context, as it does to renew a session.
	callTimeout = 5 * time.Second
	// maxBackoff bounds the pause before a repeat, so that the usual two fit into a caller's few seconds.
	maxBackoff = 300 * time.Millisecond
	// maxAnswer bounds an answer. An authorization token has about 3 KiB, a session 2.
	maxAnswer = 256 << 10
	// margin is how long before its end a token is not used any more. It is upstream's.
	margin = 5 * time.Minute
	// defaultLife is that of a token whose end the answer does not tell. Tokens last 12 hours.
	defaultLife = time.Hour
	// sessionName names the role's sessions in AWS's logs, as upstream does.
	sessionName = "ratifyEcrBasicAuth"
)

// host matches the hosts of private ECR registries: account, service, region, and the domains of AWS's partitions. All of it counts: who
// may name an image must not choose where a token goes. See
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html#registry_auth
var host = regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(?:-fips)?\.([a-z0-9]+(?:-[a-z0-9]+)+)\.` +
	`(?:amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$`)

// required are the variables that the EKS webhook sets in a pod whose service account has a role.
var required = []string{"AWS_REGION", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"}

// Options are what a provider needs of its process. The zero value is usable.
type Options struct {
	Transport *http.Transport  // nil: http.DefaultTransport, with the proxy of the environment
	Now       func() time.Time // nil: time.Now
}

// Provider gets ECR's authorization tokens. Make one with New. It is safe for concurrent use.
type Provider struct {
	config aws.Config
	now    func() time.Time
}

var _ authprovider.AuthProvider = (*Provider)(nil)

// New returns a Provider for the authProvider block of a store, which has a name and no other key. An error names the key or the
// environment's variable. It asks nobody yet.
func New(block map[string]any, o Options) (*Provider, error) {
	for _, key := range slices.Sorted(maps.Keys(block)) {
		if key != "name" {
			return nil, fmt.Errorf("unknown key %q: it has none but name", key)
		}
	}
	for _, name := range required {
		if os.Getenv(name) == "" {
			return nil, fmt.Errorf("environment variable %s is not set: give the pod's service account a role (annotation eks.amazonaws.com/role-arn)", name)
		}
	}
	// Without a region of its own in the environment the SDK would ask the node's metadata; required has it.
	c, err := config.LoadDefaultConfig(context.Background(),
		config.WithHTTPClient(client(o.Transport)), config.WithRetryer(retryer), config.WithAPIOptions([]func(*middleware.Stack) error{limitAnswers}),
		config.WithWebIdentityRoleCredentialOptions(func(w *stscreds.WebIdentityRoleOptions) { w.RoleSessionName = sessionName }))
	if err != nil {
		return nil, fmt.Errorf("reading the environment of AWS: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Provider{config: c, now: o.Now}, nil
}

// client is of the SDK's own kind, because it takes AWS_CA_BUNDLE into account for no other.
func client(transport *http.Transport) *awshttp.BuildableClient {
	made := awshttp.NewBuildableClient().WithTimeout(callTimeout)
	if transport == nil {
		return made
	}
	return made.WithTransportOptions(func(t *http.Transport) {
		t.Proxy, t.DialContext, t.TLSClientConfig = transport.Proxy, transport.DialContext, transport.TLSClientConfig.Clone()
		if t.TLSClientConfig != nil && t.TLSClientConfig.RootCAs != nil {
			t.TLSClientConfig.RootCAs = t.TLSClientConfig.RootCAs.Clone() // the SDK adds AWS_CA_BUNDLE to it, which others must not trust
		}
	})
}

// retryer is the SDK's, whose own pauses of up to 20 seconds would outlast every caller.
func retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = maxBackoff })
}

// limitAnswers bounds answers before anything reads them.
func limitAnswers(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("LimitAnswers", func(ctx context.Context, in middleware.DeserializeInput,
		next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if answer, ok := out.RawResponse.(*smithyhttp.Response); ok && answer.Response != nil && answer.Body != nil {
			answer.Body = httplimit.Body(answer.Body, "the API of AWS", maxAnswer)
		}
		return out, metadata, err
	}), middleware.After)
}

// Provide returns the credentials for an artifact, host/repository with or without tag and digest. The error wraps
// authprovider.ErrNotCovered if the host is not ECR's.
func (p *Provider) Provide(ctx context.Context, artifact string) (authprovider.AuthConfig, error) {
	registry, _, _ := strings.Cut(artifact, "/")
	match := host.FindStringSubmatch(strings.TrimSuffix(strings.ToLower(registry), ":443"))
	if match == nil {
		return authprovider.AuthConfig{}, fmt.Errorf("%w %s: %s is not a host of ECR (<account>.dkr.ecr.<region>.amazonaws.com): use dockerConfig or k8Secrets for it",
			authprovider.ErrNotCovered, Name, registry)
	}
	region := match[1]
	answer, err := ecr.NewFromConfig(p.config, func(o *ecr.Options) {
		o.Region = region
		if override := os.Getenv("AWS_API_OVERRIDE_ENDPOINT"); override != "" && region == os.Getenv("AWS_API_OVERRIDE_REGION") {
			o.BaseEndpoint = aws.String(override)
		}
	}).GetAuthorizationToken(ctx, nil)
	if err != nil {
		return authprovider.AuthConfig{}, fmt.Errorf("asking ECR in %s for an authorization token as role %s: %w "+
			"(check the role's trust policy, its permission ecr:GetAuthorizationToken, and that STS and ECR can be reached)",
			region, os.Getenv("AWS_ROLE_ARN"), err)
	}
	if len(answer.AuthorizationData) == 0 {
		return authprovider.AuthConfig{}, errNoToken
	}
	data := answer.AuthorizationData[0]
	decoded, err := base64.StdEncoding.DecodeString(aws.ToString(data.AuthorizationToken))
	user, password, ok := strings.Cut(string(decoded), ":")
	if err != nil || !ok || password == "" {
		return authprovider.AuthConfig{}, errNoToken // not err, which may quote the token
	}
	ends := cmp.Or(aws.ToTime(data.ExpiresAt), p.now().Add(defaultLife))
	return authprovider.AuthConfig{Username: user, Password: password, ExpiresOn: ends.Add(-margin)}, nil
}

// errNoToken reports an answer of ECR that is of no use.
var errNoToken = errors.New("ECR's answer holds no authorization token of a user and a password")
