package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

const (
	// maxTokenBytes bounds the answer of a token service. A token has to fit in a request's header, and the answer may hold it twice.
	maxTokenBytes = 128 << 10
	// defaultTokenLife is the life of a token whose answer does not tell it, as the specification has it.
	defaultTokenLife = time.Minute
	// maxTokenLife bounds how long a token is used: a permission that was taken away should not live on for long.
	maxTokenLife = time.Hour
)

// token is a Bearer token and what it was given for.
type token struct {
	value  string
	grant  Grant
	number uint64 // counts the tokens of a registry
}

// fetchToken asks the token service of c for a token to pull from repository
// (https://distribution.github.io/distribution/spec/auth/token/, and .../oauth/ for identity tokens).
func (r *registry) fetchToken(ctx context.Context, c challenge, repository string, grant Grant) (token, time.Time, error) {
	realm, err := url.Parse(c.realm)
	if err != nil {
		return token{}, time.Time{}, err
	}
	flight.Waits(ctx, "token service "+realm.Host)
	query := realm.Query()
	set := func(values url.Values) {
		if c.service != "" {
			values.Set("service", c.service)
		}
		values.Set("scope", "repository:"+repository+":pull")
	}
	var req *http.Request
	if grant.Credential.IdentityToken != "" {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {grant.Credential.IdentityToken}, "client_id": {clientID}}
		set(form)
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(form.Encode()))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	} else {
		set(query)
		realm.RawQuery = query.Encode()
		req, err = http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
		if err == nil && !grant.anonymous() {
			req.SetBasicAuth(grant.Credential.Username, grant.Credential.Password)
		}
	}
	if err != nil {
		return token{}, time.Time{}, err
	}
	began := r.client.Now()
	resp, err := r.client.registry(realm.Host).send(req)
	if err != nil {
		return token{}, time.Time{}, fmt.Errorf("%w %s: %w", ErrTokenService, realm.Host, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return token{}, time.Time{}, &refusal{host: realm.Host, status: resp.StatusCode, message: message(resp.Body), grant: grant}
	default:
		return token{}, time.Time{}, fmt.Errorf("%w %s answered %s %s", ErrTokenService, realm.Host, resp.Status, message(resp.Body))
	}
	value, life, err := parseToken(resp.Body)
	if err != nil {
		return token{}, time.Time{}, fmt.Errorf("%w %s: %w", ErrTokenService, realm.Host, err)
	}
	return token{value: value, grant: grant, number: r.fetched.Add(1)}, began.Add(life), nil
}

// parseToken reads a token service's answer. Its life counts from when it was asked for: the server's clock may be another.
func parseToken(body io.Reader) (value string, life time.Duration, err error) {
	content, err := io.ReadAll(io.LimitReader(body, maxTokenBytes+1))
	if err != nil {
		return "", 0, fmt.Errorf("reading its answer: %w", err)
	}
	if len(content) > maxTokenBytes {
		return "", 0, fmt.Errorf("its answer has more than %d bytes", maxTokenBytes)
	}
	var answer struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if err := json.Unmarshal(content, &answer); err != nil {
		return "", 0, fmt.Errorf("its answer is not a token's JSON (%d bytes)", len(content)) // not err: it may quote the token
	}
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	if answer.Token == "" {
		return "", 0, fmt.Errorf("its answer holds no token")
	}
	life = defaultTokenLife
	if answer.ExpiresIn > 0 {
		life = time.Duration(min(answer.ExpiresIn, maxTokenLife.Seconds()) * float64(time.Second))
	}
	return answer.Token, life, nil
}
