package acr

import (
	"crypto/rand"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
)

// tempUser is the name that goes with every temporary password.
const tempUser = "cr_temp_user"

// password is a temporary password, good for one instance.
type password struct {
	instance string
	expires  time.Time
}

// bearer is a token for one instance's registry.
type bearer struct {
	instance string
	access   map[string][]string // repository → actions
	owner    bool                // may do everything
	expires  time.Time
}

// newPassword returns a temporary password, which ends with the caller's session at the latest, and its end.
func (s *Service) newPassword(instance string, caller ram.Principal) (string, time.Time) {
	now := s.o.Now()
	expires := now.Add(s.o.TokenLifetime)
	if !caller.Expires.IsZero() && caller.Expires.Before(expires) {
		expires = caller.Expires
	}
	token := rand.Text() + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	for old, p := range s.passwords {
		if now.After(p.expires) {
			delete(s.passwords, old)
		}
	}
	s.passwords[token] = password{instance: instance, expires: expires}
	return token, expires
}

// checkPassword reports whether a user may enter an instance.
func (s *Service) checkPassword(instance, user, token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, found := s.passwords[token]
	return found && user == tempUser && p.instance == instance && s.o.Now().Before(p.expires)
}

// newBearer returns a token for b, which it gives an end.
func (s *Service) newBearer(b bearer) string {
	now := s.o.Now()
	b.expires = now.Add(s.o.BearerLifetime)
	token := rand.Text() + rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	for old, b := range s.bearers {
		if now.After(b.expires) {
			delete(s.bearers, old)
		}
	}
	s.bearers[token] = b
	return token
}

// bearer returns what a token is good for in an instance, if it is valid.
func (s *Service) bearer(instance, token string) (bearer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, found := s.bearers[token]
	return b, found && b.instance == instance && s.o.Now().Before(b.expires)
}

// OwnerBearer returns a Bearer token that may do everything in an instance.
func (s *Service) OwnerBearer(instance string) string {
	return s.newBearer(bearer{instance: instance, owner: true})
}

// RevokePasswords makes all temporary passwords handed out so far invalid.
func (s *Service) RevokePasswords() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.passwords)
}

// RevokeBearers makes all Bearer tokens handed out so far invalid.
func (s *Service) RevokeBearers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.bearers)
}
