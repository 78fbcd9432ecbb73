package tokencache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

// role is a role that counts.
type role struct {
	now     func() time.Time
	life    time.Duration
	whose   string // "" if nobody knows
	key     bool   // whether it hands out an access key
	asked   atomic.Int32
	dropped atomic.Int32
	fails   error
}

func (r *role) Credential(context.Context) (rrsa.Credential, error) {
	n := r.asked.Add(1)
	switch {
	case r.fails != nil:
		return rrsa.Credential{}, r.fails
	case r.key:
		return rrsa.Credential{AccessKeyID: fmt.Sprint("KEY.", n), AccessKeySecret: "hush"}, nil
	}
	return rrsa.Credential{AccessKeyID: fmt.Sprint("STS.", n), AccessKeySecret: "hush-secret", SecurityToken: "hush-token", Expires: r.now().Add(r.life),
		Provider: "oidc_role_arn"}, nil
}

func (r *role) Forget(rrsa.Credential) { r.dropped.Add(1) }
func (r *role) String() string         { return "role me" }

func (r *role) Whose() (string, error) {
	if r.whose == "" {
		return "", errors.New("nobody's")
	}
	return r.whose, nil
}

// sessions is what one process makes.
func (w *world) sessions(t *testing.T) *Sessions {
	t.Helper()
	return NewSessions(w.role, open(t, w.path), w.now, slog.New(slog.NewTextHandler(&w.logged, nil)))
}

// session is what a new process is handed out.
func (w *world) session(t *testing.T) rrsa.Credential {
	t.Helper()
	got, err := w.sessions(t).Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// A session is kept whole for those whose it is, until shortly before its end.
func TestSessions(t *testing.T) {
	w := newWorld(t)
	first := w.session(t)
	again := w.session(t)
	if !again.Expires.Equal(first.Expires) {
		t.Errorf("its end is %s, and was %s", again.Expires, first.Expires)
	}
	again.Expires = first.Expires // which is in another zone
	if again != first || again.AccessKeySecret != "hush-secret" || again.SecurityToken != "hush-token" || again.Provider == "" {
		t.Errorf("the next run has %+v of %+v", again, first)
	}
	if n := w.role.asked.Load(); n != 1 {
		t.Errorf("%d sessions were asked for", n)
	}
	if info, err := os.Stat(files(t, w.path)[0]); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file has mode %v, %v", info.Mode(), err)
	}
	w.role.whose = "another"
	if other := w.session(t); other.AccessKeyID == first.AccessKeyID {
		t.Error("another has the session")
	}
	w.role.whose = "me"
	w.pass(time.Hour - margin - time.Second)
	if again := w.session(t); again.AccessKeyID != first.AccessKeyID {
		t.Errorf("before its margin it is %v, want %v", again, first)
	}
	w.pass(time.Second)
	if again := w.session(t); again.AccessKeyID == first.AccessKeyID {
		t.Error("it is used within its margin")
	}
	if w.logged.Len() > 0 {
		t.Errorf("logged is %s", &w.logged)
	}
	if s := w.sessions(t); s.String() != "role me" {
		t.Errorf("it is called %s", s)
	}
}

// What is no session, or nobody knows whose it is, or cannot be had, is not kept.
func TestNoSession(t *testing.T) {
	for name, change := range map[string]func(*role){
		"an access key": func(r *role) { r.key = true },
		"nobody's":      func(r *role) { r.whose = "" },
		"a short life":  func(r *role) { r.life = margin },
		"an error":      func(r *role) { r.fails = errDown },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w.role)
			for range 2 {
				if _, err := w.sessions(t).Credential(t.Context()); !errors.Is(err, w.role.fails) {
					t.Errorf("Credential() = %v", err)
				}
				w.sessions(t).Forget(rrsa.Credential{})
			}
			if n := w.role.asked.Load(); n != 2 || len(files(t, w.path)) > 0 || w.role.dropped.Load() != 2 {
				t.Errorf("of two runs %d asked; kept are %v", n, files(t, w.path))
			}
		})
	}
}

// A session that a service refused is dropped, and no other one.
func TestForget(t *testing.T) {
	w := newWorld(t)
	first := w.session(t)
	w.sessions(t).Forget(rrsa.Credential{AccessKeyID: "STS.0"})
	if again := w.session(t); again.AccessKeyID != first.AccessKeyID {
		t.Error("a session was dropped for another one")
	}
	w.sessions(t).Forget(first)
	if again := w.session(t); again.AccessKeyID == first.AccessKeyID {
		t.Error("a refused session is still there")
	}
	if n := w.role.dropped.Load(); n != 2 {
		t.Errorf("the role was told of %d refusals", n)
	}
}

// A refused session that cannot be removed is told of, and one that is gone is not.
func TestForgetFails(t *testing.T) {
	w := newWorld(t)
	w.session(t)
	file := files(t, w.path)[0]
	s := w.sessions(t)
	s.sessions.drop("me", func(entry[rrsa.Credential]) bool { return os.Remove(file) == nil })
	if w.logged.Len() > 0 {
		t.Errorf("logged is %s", &w.logged)
	}
	w.session(t)
	s.sessions.drop("me", func(entry[rrsa.Credential]) bool { return s.sessions.dir.Close() == nil }) // as if it could not be written to
	if log := w.logged.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, file) || !strings.Contains(log, "could not be removed") || strings.Contains(log, "hush") {
		t.Errorf("logged is %q", log)
	}
}

// A file that may not be the cache's, or holds no session, is ignored with one line of log that shows no secret, and replaced if it can be.
func TestForeignSessions(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, file string) error{
		"others may read it": func(_ *testing.T, file string) error { return os.Chmod(file, 0o644) },
		"another user's": func(t *testing.T, file string) error {
			if os.Geteuid() != 0 {
				t.Skip("only root can make one")
			}
			return os.Chown(file, 12345, 0)
		},
		"broken":    func(_ *testing.T, file string) error { return os.Truncate(file, 100) },
		"no token":  func(_ *testing.T, file string) error { return edit(file, "SecurityToken", "") },
		"no secret": func(_ *testing.T, file string) error { return edit(file, "AccessKeySecret", "") },
		"no ID":     func(_ *testing.T, file string) error { return edit(file, "AccessKeyID", "") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first := w.session(t)
			file := files(t, w.path)[0]
			if err := spoil(t, file); err != nil {
				t.Fatal(err)
			}
			second := w.session(t)
			if second.AccessKeyID == first.AccessKeyID {
				t.Error("it is used")
			}
			if log := w.logged.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, file) || strings.Contains(log, "hush") {
				t.Errorf("logged is %q", log)
			}
			if third := w.session(t); third.AccessKeyID != second.AccessKeyID {
				t.Error("the file was not replaced")
			}
		})
	}
}

// edit changes a part of the value in a file.
func edit(file, part string, to any) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var e map[string]any
	if err := json.Unmarshal(content, &e); err != nil {
		return err
	}
	value := e["value"].(map[string]any)
	if _, ok := value[part]; !ok {
		return fmt.Errorf("%s is not in %s", part, content)
	}
	value[part] = to
	if content, err = json.Marshal(e); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}

// Of runs at the same time one asks, also where a password is fetched with the session.
func TestConcurrentSessions(t *testing.T) {
	w := newWorld(t)
	const runs = 16
	start := make(chan struct{})
	var wg sync.WaitGroup
	for range runs {
		s := w.sessions(t)
		p := New(&passwordOf{w.issuer, s}, open(t, w.path), "me", w.now, slog.New(slog.DiscardHandler))
		wg.Go(func() {
			<-start
			if _, err := p.Provide(t.Context(), artifact); err != nil {
				t.Error(err)
			}
			if got, err := s.Credential(t.Context()); err != nil || got.AccessKeyID != "STS.1" {
				t.Errorf("Credential() = %v, %v", got, err)
			}
		})
	}
	close(start)
	wg.Wait()
	if n, passwords := w.role.asked.Load(), w.issuer.asked.Load(); n != 1 || passwords != 1 {
		t.Errorf("%d sessions and %d passwords were asked for", n, passwords)
	}
}

// passwordOf is an issuer that needs a session.
type passwordOf struct {
	*issuer
	source rrsa.Source
}

// Provide implements authprovider.AuthProvider.
func (p *passwordOf) Provide(ctx context.Context, artifact string) (authprovider.AuthConfig, error) {
	if _, err := p.source.Credential(ctx); err != nil {
		return authprovider.AuthConfig{}, err
	}
	return p.issuer.Provide(ctx, artifact)
}

// A run that waits for a password and then for a session waits no longer than for one of the two.
func TestPatience(t *testing.T) {
	w := newWorld(t)
	s := w.sessions(t)
	defer open(t, w.path).lock(t.Context(), s.sessions.name("me"))()
	p := w.run(t, "me")
	defer open(t, w.path).lock(t.Context(), p.passwords.name(p.key(artifact)))()
	synctest.Test(t, func(t *testing.T) {
		dir := open(t, w.path)
		s := NewSessions(w.role, dir, w.now, slog.New(slog.DiscardHandler))
		p := New(&passwordOf{w.issuer, s}, dir, "me", w.now, slog.New(slog.DiscardHandler))
		start := time.Now()
		if _, err := p.Provide(t.Context(), artifact); err != nil || time.Since(start) != lockWait {
			t.Errorf("Provide() took %v: %v", time.Since(start), err)
		}
	})
}
