package auth

import (
	"context"
	"net/http"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

// Repository is a remote.Client (oras.land/oras-go/v2/registry/remote) for requests that read one repository.
type Repository struct {
	registry *registry
	name     string
	artifact string
}

// Repository returns a client for the repository name of the registry host.
func (c *Client) Repository(host, name, artifact string) *Repository {
	return &Repository{registry: c.registry(host), name: name, artifact: artifact}
}

// pass is what goes with a request.
type pass struct {
	grant Grant
	token token // of Bearer
}

// Do sends req with what the registry asks for. When that is refused it tries what may have changed since: the challenge, a token from
// the cache, the credentials; each once. An answer of 401 or 403 becomes a *RefusedError.
func (r *Repository) Do(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	before := r.registry.fetched.Load()
	c, err := r.registry.learn(ctx, r.artifact)
	if err != nil {
		return nil, err
	}
	var relearned, renewed, regranted bool
	for {
		resp, pass, err := r.try(req, c)
		no := asRefusal(err)
		if err != nil && no == nil {
			return nil, err
		}
		if no == nil {
			if regranted {
				r.registry.accepted()
			}
			return resp, nil
		}
		if resp != nil && resp.StatusCode == http.StatusUnauthorized && !relearned {
			now, err := parseChallenge(resp)
			if err != nil && c.scheme == open {
				return nil, err
			}
			if err == nil && now != c {
				r.registry.remember(now)
				c, relearned = now, true
				continue
			}
		}
		if resp != nil && resp.StatusCode == http.StatusUnauthorized && !renewed && pass.token.value != "" {
			r.forget(c, pass)
			if renewed = true; pass.token.number <= before {
				continue
			}
		}
		if !regranted && !no.grant.anonymous() {
			other, err := r.registry.regrant(ctx, r.artifact, no.grant)
			if err != nil {
				return nil, err
			}
			if other {
				r.forget(c, pass)
				regranted = true
				continue
			}
		}
		return nil, r.registry.explain(no)
	}
}

// try sends req once. It returns the refusal as an error, together with the answer, whose body is closed, if it was the registry's.
func (r *Repository) try(original *http.Request, c challenge) (*http.Response, pass, error) {
	ctx := original.Context()
	req := original.WithContext(ctx) // a copy, of which nothing but the header is changed
	req.Header = original.Header.Clone()
	pass, err := r.authorize(ctx, req, c)
	if err != nil {
		return nil, pass, err
	}
	resp, err := r.registry.send(req)
	if err != nil {
		return nil, pass, err
	}
	denied := resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
	if !denied || !sameOrigin(req.URL, resp.Request.URL) {
		return resp, pass, nil // another host's refusal, such as the object storage's, is not the registry's
	}
	defer resp.Body.Close()
	return resp, pass, &refusal{host: r.registry.host, status: resp.StatusCode, message: message(resp.Body), grant: pass.grant}
}

// authorize adds to req what the registry asks for.
func (r *Repository) authorize(ctx context.Context, req *http.Request, c challenge) (pass, error) {
	if c.scheme == bearer {
		flight.Waits(ctx, "a token for "+r.artifact)
		token, err := r.registry.token(c, r.name, r.artifact).Get(ctx)
		if err != nil {
			r.registry.doubt(c)
			return pass{}, err
		}
		req.Header.Set("Authorization", "Bearer "+token.value)
		return pass{grant: token.grant, token: token}, nil
	}
	grant, err := r.registry.client.Source.Grant(ctx, r.artifact)
	if err != nil {
		return pass{}, err
	}
	if c.scheme == basic && !grant.anonymous() {
		req.SetBasicAuth(grant.Credential.Username, grant.Credential.Password)
	}
	return pass{grant: grant}, nil
}

// forget drops the token of a pass that was refused.
func (r *Repository) forget(c challenge, refused pass) {
	if c.scheme == bearer {
		r.registry.token(c, r.name, r.artifact).Forget(func(t token) bool { return t == refused.token })
	}
}
