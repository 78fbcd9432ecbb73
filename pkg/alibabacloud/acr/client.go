package acr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/expiring"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/openapi"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

const (
	// maxTokens bounds the tokens kept. Clusters use tens of instances; who can create pods can make up hosts of more regions.
	maxTokens = 256
	// dropPause is how often a refused token is dropped at most. Else everybody whose image is forbidden to the role could
	// have a new token fetched with each request.
	dropPause = 10 * time.Second
)

// Options are what a Client needs of its process. The zero value is usable.
type Options struct {
	Transport http.RoundTripper                // default http.DefaultTransport, which honours HTTPS_PROXY and SSL_CERT_FILE
	Now       func() time.Time                 // default time.Now
	Log       *slog.Logger                     // default slog.Default()
	OnRequest func(service string, status int) // told of each request to "sts" and "cr", for metrics; status 0 is one without an answer
	Sessions  func(*rrsa.Provider) rrsa.Source // if set, makes what hands out RRSA's sessions in the place of the Provider
}

// Client hands out the tokens of instances. Make one with New. It is safe for concurrent use.
type Client struct {
	cfg       Config
	identity  rrsa.Source
	api       *openapi.Caller
	now       func() time.Time
	log       *slog.Logger
	directory *directory

	mu     sync.Mutex // of adding to tokens
	tokens *lru.Cache[tokenKey, *entry]
}

// tokenKey is an instance, and where it is asked for.
type tokenKey struct{ id, endpoint string }

// entry is the token of an instance.
type entry struct {
	token *expiring.Value[Token]

	mu      sync.Mutex
	dropped time.Time // when a refused token was dropped last
}

// New returns a Client for a Config of ParseConfig. It calls nothing: Token does. A pod without identity is no error here, so
// that registries which need none work; Token says what is missing.
func New(cfg Config, o Options) (*Client, error) {
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.OnRequest == nil {
		o.OnRequest = func(string, int) {}
	}
	identity, err := cfg.identity(o)
	if err != nil {
		return nil, err
	}
	tokens, err := lru.New[tokenKey, *entry](maxTokens)
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, identity: identity, now: o.Now, log: o.Log, tokens: tokens, api: &openapi.Caller{
		Service: "cr", HTTP: openapi.NewHTTPClient(flight.Transport(o.Transport)), Now: o.Now, OnRequest: o.OnRequest,
	}}
	c.directory = newDirectory(o.Now, 2*cfg.Timeout, c.listInstances)
	return c, nil
}

// Token returns the user name and password for the registry at host[:port]. The error wraps ErrNotCovered if it is not a registry of
// an ACR instance, ErrInstanceNotFound if its instance is unknown, or an *Error or *rrsa.Error that tells which service failed.
func (c *Client) Token(ctx context.Context, host string) (Token, error) {
	t, err := c.cfg.resolve(host, func(h Host) (string, error) { return c.lookUp(ctx, h) })
	if err != nil {
		return Token{}, err
	}
	token, err := c.entry(t).token.Get(ctx)
	if failed := (remedied)(nil); errors.As(err, &failed) {
		err = failed // without what the call waited for when its time was up, which it tells itself
	} else if _, gaveUp := err.(*flight.WaitError); gaveUp {
		err = fmt.Errorf("%w; check that it can be reached from this pod (NAT gateway, network policies, security groups, HTTPS_PROXY)", err)
	}
	if err != nil {
		return Token{}, fmt.Errorf("registry %s, instance %s (%s): %w", host, t.id, t.why, err)
	}
	return token, nil
}

// remedied is an *Error or *rrsa.Error: it names the service and tells what to do.
type remedied interface {
	error
	Remedy() string
}

// Refused takes the password that the registry at host answered with 401 or 403, so that a new one is fetched for the next Token. It
// returns whose password that was and what to do, or "" if host is not covered.
func (c *Client) Refused(host, password string) string {
	t, err := c.cfg.resolve(host, func(h Host) (string, error) {
		if id, _ := c.directory.known(h); id != "" {
			return id, nil
		}
		return "", ErrInstanceNotFound
	})
	if err != nil {
		return ""
	}
	e := c.entry(t)
	e.mu.Lock()
	if now := c.now(); now.Sub(e.dropped) >= dropPause {
		e.token.Forget(func(token Token) bool {
			if token.Password == password {
				e.dropped = now
				return true
			}
			return false
		})
	}
	e.mu.Unlock()
	return fmt.Sprintf("the password was of instance %s (%s): if the image is in another instance, %s; else check that the repository exists and "+
		"that %s may cr:PullRepository on it", t.id, t.why, t.other, c.identity)
}

func (c *Client) entry(t target) *entry {
	key := tokenKey{t.id, t.endpoint}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.tokens.Get(key); ok {
		return e
	}
	// One call to STS, one to the API.
	e := &entry{token: expiring.New(func(ctx context.Context) (Token, time.Time, error) { return c.fetch(ctx, t) }, 2*c.cfg.Timeout, c.now)}
	e.token.OnRefreshError = func(err error, validUntil time.Time) {
		c.log.Warn("cannot renew the password of an ACR instance; the present one stays in use", "instance", t.id, "error", err, "validUntil", validUntil)
	}
	c.tokens.Add(key, e)
	return e
}
