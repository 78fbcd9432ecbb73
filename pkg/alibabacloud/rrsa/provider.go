package rrsa

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/expiring"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/retry"
)

// maxToken is the documented limit of parameter OIDCToken, in characters.
const maxToken = 20000

// Provider is the Source of RRSA sessions. Make one with New.
type Provider struct {
	cfg     Config
	client  *http.Client
	session *expiring.Value[Credential]
}

// New returns a Provider. It calls nothing: the first Credential does. The error wraps ErrNoIdentity if cfg lacks the role, the
// OIDC provider or the token file.
func New(cfg Config) (*Provider, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Provider{cfg: cfg, client: &http.Client{
		Transport: flight.Transport(cfg.Transport),
		// STS does not redirect, and the token must not follow anybody who does.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	p.session = expiring.New(p.fetch, cfg.Timeout, cfg.Now)
	p.session.OnRefreshError = func(err error, validUntil time.Time) {
		cfg.Log.Warn("cannot renew the RRSA session; the present one stays in use", "error", err, "validUntil", validUntil)
	}
	return p, nil
}

// Credential returns a session that is valid now. Its errors are *Error, or say what is wrong with the token file.
func (p *Provider) Credential(ctx context.Context) (Credential, error) {
	c, err := p.session.Get(ctx)
	if failed, ok := errors.AsType[*Error](err); ok {
		return c, failed // without what the exchange waited for when its time was up, which it tells itself
	}
	if wait, ok := errors.AsType[*flight.WaitError](err); ok {
		return c, p.error(wait)
	}
	return c, err
}

// Forget drops the session if it is bad.
func (p *Provider) Forget(bad Credential) {
	p.session.Forget(func(c Credential) bool { return c.AccessKeyID == bad.AccessKeyID })
}

// Endpoint returns the host of STS.
func (p *Provider) Endpoint() string { return p.cfg.Endpoint }

// String names the role and the endpoint.
func (p *Provider) String() string {
	return fmt.Sprintf("role %s (RRSA, %s)", p.cfg.RoleARN, p.cfg.Endpoint)
}

func (p *Provider) fetch(ctx context.Context) (Credential, time.Time, error) {
	token, err := readToken(p.cfg.TokenFile)
	if err != nil {
		return Credential{}, time.Time{}, err
	}
	c, err := retry.Do(ctx, func(ctx context.Context) (Credential, error) { return p.assumeRole(ctx, token) })
	return c, c.Expires, err
}

// readToken reads the OIDC token without the white space around it.
func readToken(path string) (string, error) {
	const check = "check that the pod mounts the projected service account token there (label pod-identity.alibabacloud.com/injection: 'on') and may read it"
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("OIDC token (%s): %w; %s", EnvOIDCTokenFile, err, check)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("OIDC token (%s): %w; %s", EnvOIDCTokenFile, err, check)
	}
	token := strings.TrimSpace(string(content))
	switch {
	case len(content) > maxToken:
		return "", fmt.Errorf("OIDC token (%s): %s has more than the %d bytes that STS takes; is it the token's file?", EnvOIDCTokenFile, path, maxToken)
	case token == "":
		return "", fmt.Errorf("OIDC token (%s): %s is empty; %s", EnvOIDCTokenFile, path, check)
	}
	return token, nil
}
