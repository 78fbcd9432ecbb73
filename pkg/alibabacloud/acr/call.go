package acr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/retry"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/openapi"
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
	return openapi.WithCredential(ctx, c.identity, func(cred rrsa.Credential) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
		defer cancel()
		return retry.Do(ctx, func(ctx context.Context) ([]byte, error) { return c.once(ctx, todo, cred) })
	})
}

// once makes one request.
func (c *Client) once(ctx context.Context, todo call, cred rrsa.Credential) ([]byte, error) {
	body, answered, ok := c.api.Do(ctx, openapi.Call{Action: todo.action, Version: apiVersion, Endpoint: todo.endpoint, Region: todo.region, Query: todo.query}, cred)
	failure := &Error{Op: todo.action, InstanceID: todo.instance, Endpoint: todo.endpoint, Region: todo.region, Identity: c.identity.String(), Failure: answered}
	if !ok {
		return nil, failure
	}
	var result struct{ IsSuccess *bool }
	if err := json.Unmarshal(body, &result); err != nil {
		failure.Err = fmt.Errorf("the reply is not what the API documents: %w", err)
		return nil, failure
	}
	switch {
	case result.IsSuccess == nil:
		failure.Err = errors.New("the reply has no IsSuccess")
		return nil, failure
	case !*result.IsSuccess, answered.Code != "" && !strings.EqualFold(answered.Code, "success"):
		return nil, failure
	}
	return body, nil
}
