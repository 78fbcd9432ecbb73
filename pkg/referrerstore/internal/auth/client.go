package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/semaphore"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/expiring"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/cache"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/transport"
)

const (
	// clientID names this program to OAuth2 token services, which require a name.
	clientID = "ratify-alibabacloud"
	// maxRegistries bounds the registries remembered. Who may create a pod may name any number of them.
	maxRegistries = 1000
	// tokensBytes bounds the tokens kept for repositories of all registries, for the same reason: some thousands of the usual 1 KiB. One that is
	// not there any more is a call for the next image of its repository.
	tokensBytes = 8 << 20
	// tokenCost is about what the keeper of a token takes besides the token and its key.
	tokenCost = 1 << 10
	// maxRedirects bounds the hops of one request: a registry sends to its object storage, which may send on once.
	maxRedirects = 5
	// maxAtOnce bounds the requests to one host at once. What an HTTP/2 connection does not take net/http sends on new ones, and opens one for
	// each request that waits, so that a burst of 200 images would make a hundred connections. Servers should take a hundred requests or more
	// on each (RFC 9113 section 6.5.2), and net/http's way to wait for them, StrictMaxConcurrentRequests, stalls (https://go.dev/issue/70809).
	maxAtOnce = 100
	// refusalPause is how long credentials that were just fetched anew are believed. Without it every request for an image that
	// does not exist, or is not ours to read, would make the provider fetch new ones.
	refusalPause = time.Minute
)

// Client sends requests to registries with what they ask for. Make one with New. It is safe for concurrent use.
type Client struct {
	Config
	http   http.Client
	tokens *cache.Memory[*expiring.Value[token]]

	mu         sync.Mutex
	registries *simplelru.LRU[string, *registry]
}

// Config is what a Client needs; all fields must be set.
type Config struct {
	Transport http.RoundTripper
	Source    Source
	PlainHTTP func(host string) bool // whether to reach a registry by http
	UserAgent string                 // of all requests
	Timeout   time.Duration          // of the learning of a challenge, and of the fetching of a token
	Now       func() time.Time
	Log       *slog.Logger
}

// New returns a Client that knows no registry yet.
func New(c Config) *Client {
	registries, _ := simplelru.NewLRU[string, *registry](maxRegistries, nil) // fails only for a size that is not positive
	return &Client{Config: c, http: http.Client{Transport: c.Transport, CheckRedirect: checkRedirect}, registries: registries,
		tokens: cache.NewMemory[*expiring.Value[token]](tokensBytes, 0, c.Now)}
}

// registry is what is known of one registry, or token service.
type registry struct {
	client *Client
	host   string

	learning *flight.Group[challenge]
	regrants *flight.Group[bool]
	fetched  atomic.Uint64 // number of the last token
	atOnce   *semaphore.Weighted

	mu          sync.Mutex
	learned     bool
	challenge   challenge
	refusedAt   time.Time
	explanation string
}

func (c *Client) registry(host string) *registry {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.registries.Get(host); ok {
		return r
	}
	r := &registry{client: c, host: host, atOnce: semaphore.NewWeighted(maxAtOnce),
		learning: flight.New[challenge](c.Timeout), regrants: flight.New[bool](c.Timeout)}
	c.registries.Add(host, r)
	return r
}

// checkRedirect lets a request follow to another host, such as the object storage behind a registry, but without credentials or
// tokens, never from https to http, and not to this machine: certificates are not verified there (see transport.IsLoopback).
// A request with a body is a token service's and holds a secret; it stays.
func checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("redirect not followed: %d are enough", maxRedirects)
	case first.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("redirect not followed: it leads from https to %s", req.URL.Scheme)
	case transport.IsLoopback(req.URL.Hostname()) && !transport.IsLoopback(first.Hostname()):
		return errors.New("redirect not followed: it leads to this machine")
	}
	// net/http starts each hop from the first request's header: what a former hop had to do without has to be taken off again.
	for _, hop := range append(via[1:len(via):len(via)], req) {
		if !sameOrigin(first, hop.URL) {
			req.Header.Del("Authorization")
			if req.Body != nil && req.Body != http.NoBody {
				return errors.New("redirect not followed: it would take a secret to another host")
			}
		}
	}
	return nil
}

// learn returns what the registry asks for, finding it out at first contact.
func (r *registry) learn(ctx context.Context, artifact string) (challenge, error) {
	if c, learned := r.known(); learned {
		return c, nil
	}
	return r.learning.Do(ctx, "", func(ctx context.Context) (challenge, error) {
		if c, learned := r.known(); learned { // by a call that ended after the look above
			return c, nil
		}
		// A registry that must not be asked at all is not even knocked at.
		if _, err := r.client.Source.Grant(ctx, artifact); err != nil {
			return challenge{}, err
		}
		scheme := "https"
		if r.client.PlainHTTP(r.host) {
			scheme = "http"
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+r.host+"/v2/", nil)
		if err != nil {
			return challenge{}, err
		}
		resp, err := r.send(req)
		if err != nil {
			return challenge{}, err
		}
		defer resp.Body.Close()
		var c challenge
		switch {
		case resp.StatusCode == http.StatusUnauthorized && sameOrigin(req.URL, resp.Request.URL):
			if c, err = parseChallenge(resp); err != nil {
				return challenge{}, err
			}
		case resp.StatusCode >= http.StatusInternalServerError, resp.StatusCode == http.StatusTooManyRequests:
			return c, nil // not now: the request itself will tell, and the next one asks again
		}
		r.remember(c)
		return c, nil
	})
}

func (r *registry) known() (challenge, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.challenge, r.learned
}

func (r *registry) remember(c challenge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.challenge, r.learned = c, true
}

// doubt makes the next request ask again what the registry wants. The token service that c names may have moved since c was learned,
// and the registry itself, which would tell, is not reached without a token.
func (r *registry) doubt(c challenge) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.challenge == c {
		r.learned = false
	}
}

// token returns the keeper of the tokens for a repository.
func (r *registry) token(c challenge, repository, artifact string) *expiring.Value[token] {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := r.host + "/" + repository + "\n" + c.realm + "\n" + c.service
	if v, ok := r.client.tokens.Get(key); ok {
		return v
	}
	var v *expiring.Value[token]
	v = expiring.New(func(ctx context.Context) (token, time.Time, error) {
		grant, err := r.client.Source.Grant(ctx, artifact)
		if err != nil {
			return token{}, time.Time{}, err
		}
		fetched, ends, err := r.fetchToken(ctx, c, repository, grant)
		if err == nil {
			r.client.tokens.Put(key, v, tokenCost+int64(len(fetched.value)))
		}
		return fetched, ends, err
	}, r.client.Timeout, r.client.Now)
	v.OnRefreshError = func(err error, validUntil time.Time) {
		r.client.Log.Warn("a registry token could not be renewed; the old one is used until its end",
			"repository", artifact, "validUntil", validUntil, "error", err)
	}
	r.client.tokens.Put(key, v, tokenCost)
	return v
}

// regrant is called when the registry did not take a grant. It tells whether there is another one to try, either because somebody else
// renewed it meanwhile, or because the provider, told of the refusal, has new credentials.
func (r *registry) regrant(ctx context.Context, artifact string, refused Grant) (bool, error) {
	return r.regrants.Do(ctx, refused.Credential.id(), func(ctx context.Context) (bool, error) {
		other := func() (bool, error) {
			grant, err := r.client.Source.Grant(ctx, artifact)
			return err == nil && grant.Credential != refused.Credential, err
		}
		if ok, err := other(); ok || err != nil {
			return ok, err
		}
		now := r.client.Now()
		r.mu.Lock()
		believed := !r.refusedAt.IsZero() && now.Sub(r.refusedAt) < refusalPause
		if !believed {
			r.refusedAt = now
		}
		r.mu.Unlock()
		if believed {
			return false, nil
		}
		explanation := r.client.Source.Refused(artifact, refused)
		r.mu.Lock()
		r.explanation = explanation
		r.mu.Unlock()
		return other()
	})
}

// accepted notes that a grant fetched anew was taken, so that the next refusal is believed again.
func (r *registry) accepted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusedAt, r.explanation = time.Time{}, ""
}

// refusal is a refusal on its way to becoming a RefusedError, when nothing else is left to try.
type refusal struct {
	host    string
	status  int
	message string
	grant   Grant
}

func (e *refusal) Error() string { return fmt.Sprintf("%s refused (%d)", e.host, e.status) }

// explain makes the error for the user.
func (r *registry) explain(e *refusal) error {
	r.mu.Lock()
	explanation := r.explanation
	r.mu.Unlock()
	if e.grant.anonymous() {
		explanation = e.grant.Note
	}
	return &RefusedError{Host: e.host, StatusCode: e.status, Message: e.message, Provider: e.grant.Provider, Explanation: explanation}
}

func asRefusal(err error) *refusal {
	if e := (*refusal)(nil); errors.As(err, &e) {
		return e
	}
	return nil
}
