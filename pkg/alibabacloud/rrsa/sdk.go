package rrsa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/credentials-go/credentials"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

// SDK is the Source of a credential type of credentials-go. Make one with NewSDK.
type SDK struct {
	cfg     credentials.Config
	calls   *flight.Group[Credential]
	timeout time.Duration

	mu   sync.Mutex
	cred credentials.Credential // nil while a call uses it, after one that failed, and after Forget
	used Credential
}

// NewSDK returns a Source of cfg, whose Type is one of credentials-go's; without a Type it is credentials-go's default chain. Types that call
// a service do so through the proxy and trust of the environment. Each wait for one ends after timeout. Some types read files right away, so
// that NewSDK returns their errors; credentials-go names the field.
func NewSDK(cfg credentials.Config, timeout time.Duration) (*SDK, error) {
	if timeout == 0 {
		timeout = defaultTimeout
	}
	// Halves, as credentials-go adds the two up. Its own defaults exceed what an admission request can wait.
	cfg.Timeout, cfg.ConnectTimeout = tea.Int(int(timeout.Milliseconds()/2)), tea.Int(int(timeout.Milliseconds()/2))
	cred, err := newCredential(&cfg)
	if err != nil {
		return nil, fmt.Errorf("credential type %s: %w", tea.StringValue(cfg.Type), err)
	}
	return &SDK{cfg: cfg, cred: cred, timeout: timeout, calls: flight.New[Credential](timeout)}, nil
}

// Credential asks credentials-go, which keeps sessions itself. Its providers do not know contexts: everybody waits for a call no
// longer than their context allows.
func (s *SDK) Credential(ctx context.Context) (Credential, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	c, err := s.calls.Do(ctx, "", s.ask)
	if err != nil {
		return Credential{}, fmt.Errorf("%s: %w", s, err)
	}
	return c, nil
}

// ask takes the provider while it runs: they are not safe for concurrent use, and a call that nobody waits for any more may still hang
// when the next one begins, which then makes a provider of its own.
func (s *SDK) ask(ctx context.Context) (Credential, error) {
	flight.Waits(ctx, "the service of the "+s.String()) // credentials-go does not tell its host
	s.mu.Lock()
	cred := s.cred
	s.cred = nil
	s.mu.Unlock()
	if cred == nil {
		var err error
		if cred, err = newCredential(&s.cfg); err != nil {
			return Credential{}, err
		}
	}
	m, err := cred.GetCredential()
	if err != nil {
		return Credential{}, withoutBody(err)
	}
	c := Credential{AccessKeyID: tea.StringValue(m.AccessKeyId), AccessKeySecret: tea.StringValue(m.AccessKeySecret),
		SecurityToken: tea.StringValue(m.SecurityToken), Provider: tea.StringValue(m.ProviderName)}
	if c.AccessKeyID == "" || c.AccessKeySecret == "" {
		return Credential{}, errors.New("it brought no access key")
	}
	s.mu.Lock()
	s.cred, s.used = cred, c
	s.mu.Unlock()
	return c, nil
}

// Forget makes credentials-go start anew, which is its only way to drop a session.
func (s *SDK) Forget(bad Credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used.AccessKeyID == bad.AccessKeyID && s.used.SecurityToken == bad.SecurityToken {
		s.cred = nil
	}
}

// newCredential makes the provider of cfg.
func newCredential(cfg *credentials.Config) (credentials.Credential, error) {
	if tea.StringValue(cfg.Type) == "" {
		cfg = nil // which is how credentials-go is told to use its default chain
	}
	return credentials.NewCredential(cfg)
}

// String names the credential type.
func (s *SDK) String() string {
	if tea.StringValue(s.cfg.Type) == "" {
		return "default credential chain"
	}
	return "configured credential of type " + tea.StringValue(s.cfg.Type)
}

// withoutBody replaces the body of a reply at the end of an error of credentials-go by the code, message and request ID in it:
// the reply of a service that is not what credentials-go expects may hold credentials.
func withoutBody(err error) error {
	text, body, found := err.Error(), "", false
	if i := strings.IndexAny(text, "{<"); i >= 0 {
		text, body, found = text[:i], text[i:], true
	}
	text = strings.TrimSuffix(strings.TrimSpace(reply.Text(text)), ":")
	if !found {
		return errors.New(text)
	}
	var a answer
	if json.Unmarshal([]byte(body), &a) != nil || a.Code == "" {
		return fmt.Errorf("%s: a reply of %d bytes that is none of Alibaba Cloud's errors", text, len(body))
	}
	return fmt.Errorf("%s: %s: %s, RequestId %s", text, reply.Text(a.Code), reply.Text(a.Message), reply.Text(a.RequestID))
}
