package tokencache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	upstream "github.com/ratify-project/ratify/pkg/common/oras/authprovider"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

const (
	// margin is how long before its end a password is not used any more. A run takes 30 s at most, and clocks may differ.
	margin = time.Minute
	// maxLife is the longest life that is believed: sessions, which no password outlives, last 12 h at most.
	maxLife = 12 * time.Hour
	// refusalPause is how long a password that was just fetched is believed. Else each run for an image that the role may not pull would fetch a
	// new one.
	refusalPause = time.Minute
)

// Inner is the auth provider whose passwords are kept.
type Inner interface {
	upstream.AuthProvider
	authprovider.RefusalHandler
}

// Provider is an auth provider that asks another one only for what it does not have. Make one with New. It is safe for concurrent use.
type Provider struct {
	inner    Inner
	dir      *Directory
	identity string
	now      func() time.Time
	log      *slog.Logger
}

var _ Inner = (*Provider)(nil)

// New returns a Provider for inner. identity says whose passwords they are: all that inner's answers depend on, besides the registry. now is
// the clock.
func New(inner Inner, dir *Directory, identity string, now func() time.Time, log *slog.Logger) *Provider {
	return &Provider{inner: inner, dir: dir, identity: identity, now: now, log: log}
}

// entry is the content of a file.
type entry struct {
	Key      string    `json:"key"` // what it is for: a file of that name may be anything
	Username string    `json:"username"`
	Password string    `json:"password"`
	Fetched  time.Time `json:"fetched"`
	Expires  time.Time `json:"expires"`
}

// Enabled implements upstream.AuthProvider.
func (p *Provider) Enabled(ctx context.Context) bool { return p.inner.Enabled(ctx) }

// Provide returns what is kept for the artifact's registry, or else what inner provides. Its errors are inner's.
func (p *Provider) Provide(ctx context.Context, artifact string) (upstream.AuthConfig, error) {
	name, key := p.names(artifact)
	if kept, ok := p.kept(name, key); ok {
		return kept.config(p), nil
	}
	defer p.dir.lock(ctx, name)()
	if kept, ok := p.kept(name, key); ok { // by a run that held the lock
		return kept.config(p), nil
	}
	provided, err := p.inner.Provide(ctx, artifact)
	if err != nil {
		return upstream.AuthConfig{}, err
	}
	p.keep(name, entry{key, provided.Username, provided.Password, p.now(), provided.ExpiresOn})
	return provided, nil
}

// Refused implements authprovider.RefusalHandler.
func (p *Provider) Refused(artifact string, refused upstream.AuthConfig) string {
	name, key := p.names(artifact)
	if kept, ok := p.kept(name, key); ok && kept.Password == refused.Password && p.now().Sub(kept.Fetched) >= refusalPause {
		p.dir.remove(name)
	}
	return p.inner.Refused(artifact, refused)
}

// names returns the name of the entry for an artifact's registry, and what the entry is for.
func (p *Provider) names(artifact string) (name, key string) {
	host, _, _ := strings.Cut(artifact, "/")
	sum := sha256.Sum256([]byte(p.identity + "\n" + host))
	key = hex.EncodeToString(sum[:])
	return key[:32], key
}

// kept returns an entry that can be used.
func (p *Provider) kept(name, key string) (entry, bool) {
	var e entry
	if err := json.Unmarshal(p.dir.read(name), &e); err != nil {
		return entry{}, false
	}
	now := p.now()
	usable := e.Key == key && e.Username != "" && e.Password != "" && !e.Fetched.After(now) &&
		now.Before(e.Expires.Add(-margin)) && e.Expires.Sub(e.Fetched) <= maxLife
	return e, usable
}

func (p *Provider) keep(name string, e entry) {
	if !p.now().Before(e.Expires.Add(-margin)) {
		return // it would not be used
	}
	content, err := json.Marshal(e)
	if err == nil {
		err = p.dir.write(name, content)
	}
	if err != nil {
		p.log.Warn("a registry's password could not be kept for the next run", "tokenCache", p.dir.path, "error", err)
	}
}

func (e entry) config(p *Provider) upstream.AuthConfig {
	return upstream.AuthConfig{Username: e.Username, Password: e.Password, Provider: p, ExpiresOn: e.Expires}
}
