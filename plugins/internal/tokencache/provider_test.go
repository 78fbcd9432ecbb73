package tokencache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

// A password is kept for those whom it is for, until shortly before its end.
func TestProvider(t *testing.T) {
	w := newWorld(t)
	first := w.password(t, "me", artifact)
	if again := w.password(t, "me", "r.example/other"); again != first {
		t.Errorf("the next run has %q, want %q", again, first)
	}
	if n := w.issuer.asked.Load(); n != 1 {
		t.Errorf("%d passwords were asked for", n)
	}
	if other := w.password(t, "another", artifact); other == first {
		t.Error("another identity has the password")
	}
	if other := w.password(t, "me", "r.example:5000/app"); other == first {
		t.Error("another registry has the password")
	}
	w.pass(time.Hour - margin - time.Second)
	if again := w.password(t, "me", artifact); again != first {
		t.Errorf("before its margin it is %q, want %q", again, first)
	}
	w.pass(time.Second)
	if again := w.password(t, "me", artifact); again == first {
		t.Error("it is used within its margin")
	}
}

// An error is the issuer's, and is not kept.
func TestError(t *testing.T) {
	w := newWorld(t)
	w.issuer.fails = errDown
	if _, err := w.run(t, "me").Provide(t.Context(), artifact); !errors.Is(err, errDown) {
		t.Errorf("Provide() = %v", err)
	}
	w.issuer.fails = nil
	w.password(t, "me", artifact)
}

// What would not be used is not kept.
func TestShortLife(t *testing.T) {
	w := newWorld(t)
	w.issuer.life = margin
	w.password(t, "me", artifact)
	if entries := files(t, w.path); len(entries) > 0 {
		t.Errorf("kept are %v", entries)
	}
}

// files returns the entries of a cache.
func files(t *testing.T, path string) []string {
	t.Helper()
	entries, err := filepath.Glob(filepath.Join(path, "*"+entrySuffix))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// A refused password is dropped, unless it was just fetched.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	first := w.password(t, "me", artifact)
	refuse := func(password string) {
		if text := w.run(t, "me").Refused(artifact, authprovider.AuthConfig{Username: "user", Password: password}); text != "explained" {
			t.Errorf("Refused() = %q", text)
		}
	}
	refuse(first)
	if again := w.password(t, "me", artifact); again != first {
		t.Error("a password that was just fetched was dropped")
	}
	w.pass(refusalPause)
	refuse("another")
	if again := w.password(t, "me", artifact); again != first {
		t.Error("a password was dropped for another one")
	}
	refuse(first)
	if again := w.password(t, "me", artifact); again == first {
		t.Error("a refused password is still there")
	}
	if n := w.issuer.refused.Load(); n != 3 {
		t.Errorf("the issuer was told of %d refusals", n)
	}
}

// Files that are broken or not the cache's count as missing, and are replaced.
func TestBrokenFiles(t *testing.T) {
	at := func(w *world, change func(*entry[password])) string {
		e := entry[password]{hash(New(w.issuer, nil, "me", w.now, nil).key(artifact)), w.now(), w.now().Add(time.Hour), password{"user", "foreign"}}
		change(&e)
		const layout = time.RFC3339Nano
		return fmt.Sprintf(`{"key":%q,"value":{"username":%q,"password":%q},"fetched":%q,"expires":%q}`, e.Key, e.Value.Username, e.Value.Password,
			e.Fetched.Format(layout), e.Expires.Format(layout))
	}
	for name, content := range map[string]func(*world) string{
		"empty":              func(*world) string { return "" },
		"no JSON":            func(*world) string { return "\x00\xff" },
		"of another shape":   func(*world) string { return `{"value":"foreign"}` },
		"cut":                func(w *world) string { return at(w, func(*entry[password]) {})[:50] },
		"of another":         func(w *world) string { return at(w, func(e *entry[password]) { e.Key = "another" }) },
		"without a user":     func(w *world) string { return at(w, func(e *entry[password]) { e.Value.Username = "" }) },
		"without a password": func(w *world) string { return at(w, func(e *entry[password]) { e.Value.Password = "" }) },
		"ended":              func(w *world) string { return at(w, func(e *entry[password]) { e.Expires = w.now() }) },
		"from the future":    func(w *world) string { return at(w, func(e *entry[password]) { e.Fetched = w.now().Add(time.Minute) }) },
		"without an end": func(w *world) string {
			return at(w, func(e *entry[password]) { e.Expires = w.now().Add(maxLife + time.Second) })
		},
		"too large": func(w *world) string { return at(w, func(*entry[password]) {}) + strings.Repeat(" ", maxEntry) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.password(t, "me", artifact)
			file := files(t, w.path)[0]
			if err := os.WriteFile(file, []byte(content(w)), 0o600); err != nil {
				t.Fatal(err)
			}
			second := w.password(t, "me", artifact)
			if second == "foreign" || w.issuer.asked.Load() != 2 {
				t.Errorf("the password is %q", second)
			}
			if log := w.logged.String(); name != "ended" && strings.Count(log, file) != 1 || strings.Contains(log, "foreign") {
				t.Errorf("logged is %q", log)
			}
			if third := w.password(t, "me", artifact); third != second {
				t.Error("the file was not replaced")
			}
		})
	}
	w := newWorld(t)
	w.password(t, "me", artifact)
	if err := os.WriteFile(files(t, w.path)[0], []byte(at(w, func(*entry[password]) {})), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := w.password(t, "me", artifact); got != "foreign" {
		t.Errorf("a whole file is not used, so that this test cannot fail: %q", got)
	}
}

// A folder in the place of a file is no error for the user.
func TestNotWritable(t *testing.T) {
	w := newWorld(t)
	w.password(t, "me", artifact)
	file := files(t, w.path)[0]
	if err := errors.Join(os.Remove(file), os.Mkdir(file, 0o700), os.Mkdir(filepath.Join(file, "full"), 0o700)); err != nil {
		t.Fatal(err)
	}
	w.password(t, "me", artifact)
	w.password(t, "me", artifact)
	if left, err := filepath.Glob(filepath.Join(w.path, "*"+temporarySuffix)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Of runs at the same time one asks.
func TestConcurrentRuns(t *testing.T) {
	w := newWorld(t)
	const runs = 16
	start := make(chan struct{})
	var wg sync.WaitGroup
	passwords := make([]string, runs)
	for i := range runs {
		p := w.run(t, "me")
		wg.Go(func() {
			<-start
			got, err := p.Provide(t.Context(), artifact)
			if err != nil {
				t.Error(err)
			}
			passwords[i] = got.Password
		})
	}
	close(start)
	wg.Wait()
	if n := w.issuer.asked.Load(); n != 1 {
		t.Errorf("%d runs asked", n)
	}
	for _, got := range passwords {
		if got != passwords[0] {
			t.Errorf("passwords differ: %q, %q", got, passwords[0])
		}
	}
}

// A run that waited for long enough goes on without the lock, in the time that Ratify gives it; so does one whose time is up.
func TestLockThatIsHeld(t *testing.T) {
	w := newWorld(t)
	p := w.run(t, "me")
	defer open(t, w.path).lock(t.Context(), p.passwords.name(p.key(artifact)))()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Provide(ended, artifact); err != nil || w.issuer.asked.Load() != 1 {
		t.Errorf("Provide() = %v", err)
	}
	w.pass(time.Hour) // so that nothing usable is kept
	synctest.Test(t, func(t *testing.T) {
		p := w.run(t, "me")
		ctx, cancel := context.WithTimeout(t.Context(), ratifyTimeout)
		defer cancel()
		_, err := p.Provide(ctx, artifact)
		if left, _ := ctx.Deadline(); err != nil || ctx.Err() != nil || time.Until(left) < ratifyTimeout/4 {
			t.Errorf("Provide() = %v, and %v are left", err, time.Until(left))
		}
	})
}

// ratifyTimeout is how long Ratify v1.4 gives a verification.
const ratifyTimeout = 2900 * time.Millisecond

// However many runs need the same at once, and whether or not it can be had, each ends in the time that Ratify gives it, and one that was fetched serves
// all.
func TestManyRuns(t *testing.T) {
	const runs = 50
	for _, tt := range []struct {
		name  string
		takes time.Duration
		fails error
		asked int32 // at most
	}{
		{"at once", 0, nil, 1},
		{"slowly", lockWait / 2, nil, 1},
		{"too slowly", lockWait + time.Millisecond, nil, runs},
		{"failing", 50 * time.Millisecond, errDown, runs},
		{"failing slowly", lockWait / 2, errDown, runs},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.issuer.takes, w.issuer.fails = tt.takes, tt.fails
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var all sync.WaitGroup
				for range runs {
					dir := open(t, w.path)
					all.Go(func() {
						p := New(w.issuer, dir, "me", w.now, slog.New(slog.DiscardHandler))
						_, err := p.Provide(t.Context(), artifact)
						if took := time.Since(start); !errors.Is(err, tt.fails) || took > lockWait+max(tt.takes, lockPause) {
							t.Errorf("Provide() = %v after %v", err, took)
						}
					})
				}
				all.Wait()
			})
			if n := w.issuer.asked.Load(); n > tt.asked {
				t.Errorf("%d asked, want %d at most", n, tt.asked)
			}
		})
	}
}
