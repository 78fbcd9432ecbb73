package tokencache

import (
	"context"
	"log/slog"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// Role is a source of sessions that knows whose they are, which *rrsa.Provider is.
type Role interface {
	rrsa.Source
	// Whose returns all that decides which sessions these are.
	Whose() (string, error)
}

// Sessions is a source of sessions that asks another one only for what it does not have. Make one with NewSessions. It is safe for
// concurrent use.
type Sessions struct {
	role     Role
	sessions cache[rrsa.Credential]
}

var _ rrsa.Source = (*Sessions)(nil)

// NewSessions returns the Sessions of a role. now is the clock.
func NewSessions(role Role, dir *Directory, now func() time.Time, log *slog.Logger) *Sessions {
	return &Sessions{role, cache[rrsa.Credential]{kind: "session", valid: isSession, dir: dir, now: now, log: log}}
}

// isSession tells whether c has all parts of a session. An access key, which has no end, is none.
func isSession(c rrsa.Credential) bool {
	return c.AccessKeyID != "" && c.AccessKeySecret != "" && c.SecurityToken != ""
}

// Credential returns the session that is kept, or else one of the role. Its errors are the role's, which is asked where nobody knows whose the
// sessions are, too.
func (s *Sessions) Credential(ctx context.Context) (rrsa.Credential, error) {
	whose, err := s.role.Whose()
	if err != nil {
		return s.role.Credential(ctx)
	}
	session, _, err := s.sessions.get(ctx, whose, func(ctx context.Context) (rrsa.Credential, time.Time, error) {
		session, err := s.role.Credential(ctx)
		return session, session.Expires, err
	})
	return session, err
}

// Forget drops the session, here and of the role, if it is bad. There is no pause as for passwords: services say of a session that it ended, and
// not that it may not do something, and a run asks for one more at most.
func (s *Sessions) Forget(bad rrsa.Credential) {
	if whose, err := s.role.Whose(); err == nil {
		s.sessions.drop(whose, func(kept entry[rrsa.Credential]) bool { return kept.Value.AccessKeyID == bad.AccessKeyID })
	}
	s.role.Forget(bad)
}

// String is the role's.
func (s *Sessions) String() string { return s.role.String() }
