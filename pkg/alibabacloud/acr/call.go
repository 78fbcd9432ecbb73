package acr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	cr "github.com/alibabacloud-go/cr-20181201/v2/client"
	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/tea/dara"
	"github.com/alibabacloud-go/tea/tea"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/retry"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

const apiVersion = "2018-12-01"

// call is one call of the Container Registry API.
type call struct {
	action   string
	endpoint string
	region   string
	instance string // its ID, for errors
	query    map[string]string
}

// authorized makes a call with the Client's identity, within its timeout. If the service says that the session has ended, it is
// made once more with a new one.
func (c *Client) authorized(ctx context.Context, todo call) ([]byte, error) {
	for again := true; ; again = false {
		cred, err := c.identity.Credential(ctx)
		if err != nil {
			return nil, err
		}
		body, err := c.do(ctx, todo, cred)
		var failed *Error
		if again && errors.As(err, &failed) && failed.sessionEnded() {
			c.identity.Forget(cred)
			continue
		}
		return body, err
	}
}

func (c *Client) do(ctx context.Context, todo call, cred rrsa.Credential) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	return retry.Do(ctx, func(ctx context.Context) ([]byte, error) { return c.once(ctx, todo, cred) })
}

// once makes one request through the SDK, which signs it.
func (c *Client) once(ctx context.Context, todo call, cred rrsa.Credential) ([]byte, error) {
	// The SDK's client is made for each request, as it holds the credential and the exchange; it opens no connections itself.
	wire := &exchange{client: c.http, onRequest: c.onRequest}
	sdk, err := cr.NewClient(&openapi.Config{Credential: cred.OpenAPI(), Endpoint: tea.String(todo.endpoint), RegionId: tea.String(todo.region),
		Protocol: tea.String("HTTPS"), HttpClient: wire})
	failure := &Error{Op: todo.action, InstanceID: todo.instance, Endpoint: todo.endpoint, Region: todo.region, Identity: c.identity.String()}
	if err != nil {
		failure.Err = err
		return nil, failure
	}
	// Signed with the Client's clock, as everything else goes by it.
	headers := map[string]*string{"x-acs-date": tea.String(c.now().UTC().Format(time.RFC3339))}
	query := make(map[string]*string)
	for key, value := range todo.query {
		query[key] = tea.String(value)
	}
	_, err = sdk.CallApiWithCtx(ctx, &openapi.Params{
		Action: tea.String(todo.action), Version: tea.String(apiVersion), Protocol: tea.String("HTTPS"), Pathname: tea.String("/"), Method: tea.String("POST"),
		AuthType: tea.String("AK"), Style: tea.String("RPC"), ReqBodyType: tea.String("formData"), BodyType: tea.String("json"),
	}, &openapi.OpenApiRequest{Query: query, Headers: headers}, &dara.RuntimeOptions{})
	failure.StatusCode, failure.RetryAfter = wire.status, wire.after
	switch {
	case wire.err != nil:
		failure.Err = wire.err
		return nil, failure
	case wire.body == nil: // nothing was sent
		failure.Err = err
		return nil, failure
	}
	// The SDK hides the status of some failures and does not look at IsSuccess: the reply itself says it all.
	var result struct {
		IsSuccess *bool
		Code      string
		Message   string
		RequestID string `json:"RequestId"`
	}
	if err := json.Unmarshal(wire.body, &result); err != nil {
		failure.Err = fmt.Errorf("the reply is not what the API documents: %w", err)
		return nil, failure
	}
	secrets := cred.Secrets()
	failure.Code, failure.Message, failure.RequestID = reply.Text(result.Code, secrets...), reply.Text(result.Message, secrets...), reply.Text(result.RequestID, secrets...)
	switch {
	case wire.status != http.StatusOK:
		return nil, failure
	case result.IsSuccess == nil:
		failure.Err = errors.New("the reply has no IsSuccess")
		return nil, failure
	case !*result.IsSuccess, result.Code != "" && !strings.EqualFold(result.Code, "success"):
		return nil, failure
	}
	return wire.body, nil
}

// exchange is the HTTP client that one request of the SDK goes through. In place of the SDK's own one it bounds and checks the
// reply, follows no redirect, has deadlines, and does not share the trust of the first client that used a host.
type exchange struct {
	client    *http.Client
	onRequest func(service string, status int)

	status int
	after  time.Duration
	body   []byte
	err    error
}

// Call implements dara.HttpClient.
func (x *exchange) Call(req *http.Request, _ *http.Transport) (*http.Response, error) {
	resp, err := x.client.Do(req)
	if err != nil {
		x.onRequest("cr", 0)
		var outer *url.Error // its text repeats the URL
		if errors.As(err, &outer) {
			err = outer.Err
		}
		x.err = err
		return nil, err
	}
	defer resp.Body.Close()
	x.onRequest("cr", resp.StatusCode)
	x.status, x.after = resp.StatusCode, retry.After(resp.Header, time.Now())
	if x.body, x.err = reply.Read(resp); x.err != nil {
		return nil, x.err
	}
	resp.Body = io.NopCloser(bytes.NewReader(x.body))
	resp.Header.Set("Content-Type", "application/json") // the SDK would read JSON as XML if that was announced
	return resp, nil
}
