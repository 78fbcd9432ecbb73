package acr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	cr "github.com/alibabacloud-go/cr-20181201/v2/client"
	"github.com/alibabacloud-go/tea/tea"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

const (
	opToken = "GetAuthorizationToken"
	// maxLife is the longest STS session, which no token outlives; documented for tokens is one hour. A later end in a reply is not
	// believed.
	maxLife = 12 * time.Hour
	// maxMargin is how long before its end a token is given up, so that it lives through the request that uses it. Tokens of less than
	// 100 s keep a tenth of their life.
	maxMargin = 10 * time.Second
)

// Token is the user name and password of an instance's registry. Printing or logging one does not show the password.
type Token struct {
	InstanceID string
	Username   string
	Password   string
	Expires    time.Time // when to stop using it, a little before its end
}

// String names the instance and the user.
func (t Token) String() string { return "password of " + t.Username + " for " + t.InstanceID }

// GoString is String, so that %#v shows no password.
func (t Token) GoString() string { return t.String() }

// LogValue is what slog shows.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// fetch calls GetAuthorizationToken.
// See https://www.alibabacloud.com/help/en/acr/developer-reference/api-cr-2018-12-01-getauthorizationtoken.
func (c *Client) fetch(ctx context.Context, t target) (Token, time.Time, error) {
	body, err := c.authorized(ctx, call{action: opToken, endpoint: t.endpoint, region: t.region, instance: t.id, query: map[string]string{"InstanceId": t.id}})
	if err != nil {
		return Token{}, time.Time{}, err
	}
	token, err := readToken(body, c.now())
	if err != nil {
		return Token{}, time.Time{}, &Error{Op: opToken, InstanceID: t.id, Region: t.region, Endpoint: t.endpoint, Identity: c.identity.String(),
			Failure: reply.Failure{StatusCode: 200, Err: err}}
	}
	token.InstanceID = t.id
	c.log.Info("got the password of an ACR instance", "instance", t.id, "chosen", t.why, "endpoint", t.endpoint, "expires", token.Expires)
	return token, token.Expires, nil
}

func readToken(body []byte, now time.Time) (Token, error) {
	var r cr.GetAuthorizationTokenResponseBody
	if err := json.Unmarshal(body, &r); err != nil {
		return Token{}, fmt.Errorf("the reply is not what the API documents: %w", err)
	}
	t := Token{Username: tea.StringValue(r.TempUsername), Password: tea.StringValue(r.AuthorizationToken)}
	end := time.UnixMilli(tea.Int64Value(r.ExpireTime))
	switch {
	case t.Username == "":
		return Token{}, errors.New("the reply has no TempUsername")
	case t.Password == "":
		return Token{}, errors.New("the reply has no AuthorizationToken")
	case tea.Int64Value(r.ExpireTime) <= 0:
		return Token{}, errors.New("the reply has no ExpireTime")
	case !end.After(now):
		return Token{}, fmt.Errorf("the password ended at %s, and it is %s here: check this node's clock", end.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	life := min(end.Sub(now), maxLife)
	t.Expires = now.Add(life - min(maxMargin, life/10))
	return t, nil
}
