package tokencache

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

// refusalPause is how long a password that was just fetched is believed. Else each run for an image that the role may not pull would fetch a
// new one.
const refusalPause = time.Minute

// Inner is the auth provider whose passwords are kept.
type Inner interface {
	authprovider.AuthProvider
	authprovider.RefusalHandler
}

// Provider is an auth provider that asks another one only for what it does not have. Make one with New. It is safe for concurrent use.
type Provider struct {
	inner     Inner
	identity  string
	passwords cache[password]
}

var _ Inner = (*Provider)(nil)

// password is what is kept of what inner provides.
type password struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func (p password) complete() bool { return p.Username != "" && p.Password != "" }

// New returns a Provider for inner. identity says whose passwords they are: all that inner's answers depend on, besides the registry. now is
// the clock.
func New(inner Inner, dir *Directory, identity string, now func() time.Time, log *slog.Logger) *Provider {
	return &Provider{inner: inner, identity: identity,
		passwords: cache[password]{kind: "password", valid: password.complete, dir: dir, now: now, log: log}}
}

// Provide returns what is kept for the artifact's registry, or else what inner provides. Its errors are inner's.
func (p *Provider) Provide(ctx context.Context, artifact string) (authprovider.AuthConfig, error) {
	got, expires, err := p.passwords.get(ctx, p.key(artifact), func(ctx context.Context) (password, time.Time, error) {
		provided, err := p.inner.Provide(ctx, artifact)
		return password{provided.Username, provided.Password}, provided.ExpiresOn, err
	})
	if err != nil {
		return authprovider.AuthConfig{}, err
	}
	return authprovider.AuthConfig{Username: got.Username, Password: got.Password, ExpiresOn: expires}, nil
}

// Refused implements authprovider.RefusalHandler.
func (p *Provider) Refused(artifact string, refused authprovider.AuthConfig) string {
	p.passwords.drop(p.key(artifact), func(kept entry[password]) bool {
		return kept.Value.Password == refused.Password && p.passwords.now().Sub(kept.Fetched) >= refusalPause
	})
	return p.inner.Refused(artifact, refused)
}

// key returns whose password for which registry an artifact needs.
func (p *Provider) key(artifact string) string {
	host, _, _ := strings.Cut(artifact, "/")
	return p.identity + "\n" + host
}
