package tokencache

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const artifact = "r.example/app"

// memory returns a new path in memory.
func memory(t *testing.T) string {
	t.Helper()
	parent, err := os.MkdirTemp("/dev/shm", "tokencache-test-")
	if err != nil {
		t.Skipf("there is no file system in memory: %v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(parent) })
	return filepath.Join(parent, "cache")
}

// open opens a directory until the test ends.
func open(t *testing.T, path string) *Directory {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// issuer is an auth provider that counts.
type issuer struct {
	now     func() time.Time
	life    time.Duration
	takes   time.Duration
	asked   atomic.Int32
	refused atomic.Int32
	fails   error
}

func (i *issuer) Provide(_ context.Context, artifact string) (authprovider.AuthConfig, error) {
	n := i.asked.Add(1)
	time.Sleep(i.takes) // in a bubble of synctest
	if i.fails != nil {
		return authprovider.AuthConfig{}, i.fails
	}
	return authprovider.AuthConfig{Username: "user", Password: artifact + string('0'+rune(n)), ExpiresOn: i.now().Add(i.life)}, nil
}

func (i *issuer) Refused(string, authprovider.AuthConfig) string {
	i.refused.Add(1)
	return "explained"
}

// world is a clock, an issuer, a role, a directory and a log.
type world struct {
	issuer *issuer
	role   *role
	path   string
	clock  atomic.Pointer[time.Time]
	logged bytes.Buffer // not while several runs log
}

func newWorld(t *testing.T) *world {
	w := &world{path: memory(t)}
	start := time.Now()
	w.clock.Store(&start)
	w.issuer, w.role = &issuer{now: w.now, life: time.Hour}, &role{now: w.now, life: time.Hour, whose: "me"}
	return w
}

func (w *world) now() time.Time { return *w.clock.Load() }

func (w *world) pass(d time.Duration) {
	later := w.now().Add(d)
	w.clock.Store(&later)
}

// run is what one process makes.
func (w *world) run(t *testing.T, identity string) *Provider {
	t.Helper()
	return New(w.issuer, open(t, w.path), identity, w.now, slog.New(slog.NewTextHandler(&w.logged, nil)))
}

// password is what a new process is provided.
func (w *world) password(t *testing.T, identity, artifact string) string {
	t.Helper()
	got, err := w.run(t, identity).Provide(t.Context(), artifact)
	if err != nil {
		t.Fatal(err)
	}
	if got.Username != "user" {
		t.Errorf("the user is %q", got.Username)
	}
	return got.Password
}

var errDown = errors.New("down")
