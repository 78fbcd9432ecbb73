package authprovider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/acr"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// Name is the provider's name in configurations.
const Name = "alibabacloudAcrBasic"

// Options are what a provider needs of its process. The zero value is usable.
type Options struct {
	Transport http.RoundTripper                // default http.DefaultTransport, which honours HTTPS_PROXY and SSL_CERT_FILE
	Now       func() time.Time                 // default time.Now
	Log       *slog.Logger                     // default slog.Default()
	OnRequest func(service string, status int) // told of each request to "sts" and "cr"; status 0 is one without an answer
	Sessions  func(*rrsa.Provider) rrsa.Source // if set, makes what hands out RRSA's sessions in the place of the Provider
}

// Provider is the auth provider of ACR instances. Make one with New. It is safe for concurrent use.
type Provider struct {
	client *acr.Client
}

var (
	_ AuthProvider   = (*Provider)(nil)
	_ RefusalHandler = (*Provider)(nil)
)

// New returns a Provider for the authProvider block of a store. Its errors wrap *acr.ConfigError, which names the field.
func New(cfg map[string]any, o Options) (*Provider, error) {
	if name, ok := cfg["name"]; ok && name != Name {
		return nil, fmt.Errorf("auth provider %s: name is %v", Name, name)
	}
	config, err := acr.ParseConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("auth provider %s: %w", Name, err)
	}
	client, err := acr.New(config, acr.Options(o))
	if err != nil {
		return nil, fmt.Errorf("auth provider %s: %w", Name, err)
	}
	return &Provider{client: client}, nil
}

// Provide returns the credentials for an artifact, host[:port]/repository with or without tag and digest. ExpiresOn leaves a margin before
// their end. The error wraps ErrNotCovered if the host is not one of an ACR instance.
func (p *Provider) Provide(ctx context.Context, artifact string) (AuthConfig, error) {
	host, err := hostOf(artifact)
	if err != nil {
		return AuthConfig{}, err
	}
	token, err := p.client.Token(ctx, host)
	switch {
	case errors.Is(err, acr.ErrNotCovered):
		return AuthConfig{}, fmt.Errorf("%w %s: %w", ErrNotCovered, Name, err)
	case err != nil:
		return AuthConfig{}, err // the store says of which provider
	}
	return AuthConfig{Username: token.Username, Password: token.Password, ExpiresOn: token.Expires}, nil
}

// Refused implements RefusalHandler.
func (p *Provider) Refused(artifact string, refused AuthConfig) string {
	host, err := hostOf(artifact)
	if err != nil {
		return ""
	}
	return p.client.Refused(host, refused.Password)
}

// hostOf returns what precedes the repository. Whether it is a host is for the acr package to judge.
func hostOf(artifact string) (string, error) {
	host, repository, _ := strings.Cut(artifact, "/")
	if host == "" || repository == "" {
		return "", fmt.Errorf("auth provider %s: artifact reference %q has no registry host", Name, artifact)
	}
	return host, nil
}
