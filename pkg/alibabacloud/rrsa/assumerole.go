package rrsa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/retry"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

const (
	op         = "AssumeRoleWithOIDC"
	apiVersion = "2015-04-01"
	// duration is asked for. It is the default of a role's MaxSessionDuration: a role may allow more, none allows less.
	duration = "3600"
	// maxSession is the longest session that STS makes. A later end in a reply is not believed.
	maxSession = 12 * time.Hour
)

// answer holds what is read of a reply of STS, success or failure.
// See https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc.
type answer struct {
	RequestID   string `json:"RequestId"`
	Code        string
	Message     string
	Credentials struct {
		AccessKeyID     string `json:"AccessKeyId"`
		AccessKeySecret string
		SecurityToken   string
		Expiration      string
	}
}

// assumeRole makes one request. The parameters go where credentials-go puts them: all but the public ones in the body.
func (p *Provider) assumeRole(ctx context.Context, token string) (Credential, error) {
	query := url.Values{
		"Action": {op}, "Format": {"JSON"}, "Version": {apiVersion},
		"Timestamp": {p.cfg.Now().UTC().Format(time.RFC3339)},
	}
	form := url.Values{
		"RoleArn": {p.cfg.RoleARN}, "OIDCProviderArn": {p.cfg.OIDCProviderARN}, "OIDCToken": {token},
		"RoleSessionName": {p.cfg.SessionName}, "DurationSeconds": {duration},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+p.cfg.Endpoint+"/?"+query.Encode(), strings.NewReader(form.Encode()))
	if err != nil {
		return Credential{}, p.error(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		p.cfg.OnRequest("sts", 0)
		var outer *url.Error // its text repeats the URL, which is in ours already
		if errors.As(err, &outer) {
			err = outer.Err
		}
		return Credential{}, p.error(err)
	}
	defer resp.Body.Close()
	p.cfg.OnRequest("sts", resp.StatusCode)

	failure := p.error(nil)
	failure.StatusCode, failure.RetryAfter = resp.StatusCode, retry.After(resp.Header, time.Now())
	body, err := reply.Read(resp)
	if err != nil {
		failure.Err = err
		return Credential{}, failure
	}
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		failure.Err = fmt.Errorf("the reply is not what STS documents: %w", err)
		return Credential{}, failure
	}
	failure.Code, failure.RequestID = reply.Text(a.Code, token), reply.Text(a.RequestID, token)
	failure.Message = reply.Text(a.Message, token)
	if resp.StatusCode != http.StatusOK {
		return Credential{}, failure
	}
	c, err := a.credential(p.cfg.Now())
	if err != nil {
		failure.Err = err
		return Credential{}, failure
	}
	return c, nil
}

func (a *answer) credential(now time.Time) (Credential, error) {
	for _, field := range []struct{ name, value string }{
		{"AccessKeyId", a.Credentials.AccessKeyID}, {"AccessKeySecret", a.Credentials.AccessKeySecret},
		{"SecurityToken", a.Credentials.SecurityToken}, {"Expiration", a.Credentials.Expiration},
	} {
		if field.value == "" {
			return Credential{}, fmt.Errorf("the reply has no Credentials.%s", field.name)
		}
	}
	expires, err := time.Parse(time.RFC3339, a.Credentials.Expiration)
	if err != nil {
		return Credential{}, errors.New("the reply's Credentials.Expiration is not a time such as 2006-01-02T15:04:05Z")
	}
	if last := now.Add(maxSession); expires.After(last) {
		expires = last
	}
	return Credential{AccessKeyID: a.Credentials.AccessKeyID, AccessKeySecret: a.Credentials.AccessKeySecret,
		SecurityToken: a.Credentials.SecurityToken, Expires: expires, Provider: "oidc_role_arn"}, nil
}

// error describes a request that got no complete answer.
func (p *Provider) error(err error) *Error {
	return &Error{Op: op, Endpoint: p.cfg.Endpoint, Role: p.cfg.RoleARN, Failure: reply.Failure{Err: err}}
}
