package acr

import (
	"crypto/rand"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
)

const (
	// tempUser is the name that goes with every temporary password.
	tempUser = "cr_temp_user"
	// ownerUser is the name that goes with an instance's fixed password.
	ownerUser = "owner@" + ram.AccountID
)

// password is a temporary password, good for one instance.
type password struct {
	instance string
	owner    bool // asked for by the account itself: may do everything; otherwise pull only, as the role's policy says
	expires  time.Time
}

// bearer is a token for one instance's registry.
type bearer struct {
	instance string
	access   map[string][]string // "repository:<name>" or "registry:catalog" → actions
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
	s.passwords[token] = password{instance: instance, owner: caller.Role == "", expires: expires}
	return token, expires
}

// OwnerPassword returns the user and the fixed password with which an instance's owner pushes. It is good until the end.
func (s *Service) OwnerPassword(instance string) (user, fixed string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.instances[instance]; i != nil {
		return ownerUser, i.password
	}
	return "", ""
}

// checkPassword reports whether a user may enter an instance, and as its owner.
func (s *Service) checkPassword(i *instance, user, given string) (owner, valid bool) {
	if user == ownerUser && given == i.password {
		return true, true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, found := s.passwords[given]
	return p.owner, found && user == tempUser && p.instance == i.ID && s.o.Now().Before(p.expires)
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

// OwnerBearer returns a Bearer token that may do everything in an instance, and neither ends nor is revoked.
func (s *Service) OwnerBearer(instance string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.instances[instance]; i != nil {
		return i.bearer
	}
	return ""
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
