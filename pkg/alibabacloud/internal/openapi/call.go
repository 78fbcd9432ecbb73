package openapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	sdk "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/tea/dara"
	"github.com/alibabacloud-go/tea/tea"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// Call is one call of an API.
type Call struct {
	Action   string
	Version  string // of the API, such as 2018-12-01
	Endpoint string // host[:port]
	Region   string
	Query    map[string]string
}

// Caller makes calls of one service.
type Caller struct {
	Service   string // by which OnRequest is told of requests
	HTTP      *http.Client
	Now       func() time.Time // by which requests are dated
	OnRequest func(service string, status int)
}

// NewHTTPClient returns the client for a Caller. It follows no redirect: the APIs do not redirect, and the session token must not
// follow anybody who does.
func NewHTTPClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// WithCredential calls fn with a credential of identity. If fn's error says that the session has ended, it is called once more with a new one.
func WithCredential[V any](ctx context.Context, identity rrsa.Source, fn func(rrsa.Credential) (V, error)) (V, error) {
	for again := true; ; again = false {
		cred, err := identity.Credential(ctx)
		if err != nil {
			var none V
			return none, err
		}
		v, err := fn(cred)
		var failed interface {
			error
			SessionEnded() bool
		}
		if again && errors.As(err, &failed) && failed.SessionEnded() {
			identity.Forget(cred)
			continue
		}
		return v, err
	}
}

// Do makes one request. ok says that there is a body, a JSON object that came with status 200. answered is filled from every answer: some
// services tell of failures with status 200, too.
func (c *Caller) Do(ctx context.Context, call Call, cred rrsa.Credential) (body []byte, answered reply.Failure, ok bool) {
	// The SDK's client is made for each request, as it holds the credential and the exchange; it opens no connections itself.
	wire := &exchange{client: c.HTTP, service: c.Service, onRequest: c.OnRequest}
	client, err := sdk.NewClient(&sdk.Config{Credential: cred.OpenAPI(), Endpoint: tea.String(call.Endpoint), RegionId: tea.String(call.Region),
		Protocol: tea.String("HTTPS"), HttpClient: wire})
	if err != nil {
		return nil, reply.Failure{Err: err}, false
	}
	// Signed with the Caller's clock, as everything else goes by it.
	headers := map[string]*string{"x-acs-date": tea.String(c.Now().UTC().Format(time.RFC3339))}
	query := make(map[string]*string)
	for key, value := range call.Query {
		query[key] = tea.String(value)
	}
	_, err = client.CallApiWithCtx(ctx, &sdk.Params{
		Action: tea.String(call.Action), Version: tea.String(call.Version), Protocol: tea.String("HTTPS"), Pathname: tea.String("/"), Method: tea.String("POST"),
		AuthType: tea.String("AK"), Style: tea.String("RPC"), ReqBodyType: tea.String("formData"), BodyType: tea.String("json"),
	}, &sdk.OpenApiRequest{Query: query, Headers: headers}, &dara.RuntimeOptions{})
	answered = reply.Failure{StatusCode: wire.status, RetryAfter: wire.after}
	switch {
	case wire.err != nil:
		answered.Err = wire.err
		return nil, answered, false
	case wire.body == nil: // nothing was sent
		answered.Err = err
		return nil, answered, false
	}
	// The SDK hides the status of some failures: the reply itself says it all.
	var result struct {
		Code      string
		Message   string
		RequestID string `json:"RequestId"`
	}
	if err := json.Unmarshal(wire.body, &result); err != nil {
		answered.Err = fmt.Errorf("the reply is not what the API documents: %w", err)
		return nil, answered, false
	}
	secrets := cred.Secrets()
	answered.Code, answered.Message, answered.RequestID = reply.Text(result.Code, secrets...), reply.Text(result.Message, secrets...), reply.Text(result.RequestID, secrets...)
	return wire.body, answered, wire.status == http.StatusOK
}
