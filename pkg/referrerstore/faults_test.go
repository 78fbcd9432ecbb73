package referrerstore

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
)

// forever is longer than any test takes: nothing in the tests of faults ends by the clock.
const forever = time.Hour

// untilReached returns a context that ends, as at a deadline, once arrived is called, which is safe any number of times. What hangs is given up
// only then, however long it takes to get there.
func untilReached(t *testing.T) (ctx context.Context, arrived func()) {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, func() { cancel(context.DeadlineExceeded) }
}

// wantAfterFault verifies what a fault kept from being verified. What hangs still does, and is not waited for again, except by who comes in the
// very instant in which the last caller gives up: calls within calls hear of that one after the other.
func wantAfterFault(t *testing.T, s *Store, subject common.Reference) {
	t.Helper()
	var blobs []string
	err := context.DeadlineExceeded
	for pause := 10 * time.Millisecond; pause < 10*time.Second && errors.Is(err, context.DeadlineExceeded); pause *= 2 {
		<-time.After(pause)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		blobs, err = verify(ctx, s, subject)
		cancel()
	}
	if err != nil || len(blobs) != 1 || blobs[0] != "signature" {
		t.Errorf("after the fault: %q, %v", blobs, err)
	}
}

func TestFaults(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	for _, where := range []struct {
		name, host string
		match      func(*http.Request) bool
	}{
		{"token service", tokenHost, func(r *http.Request) bool { return r.Host == tokenHost }},
		{"check", registryHost, func(r *http.Request) bool { return r.URL.Path == "/v2/" }},
		{"subject", registryHost, func(r *http.Request) bool { return r.Method == http.MethodHead }},
		{"referrers", registryHost, isKind("referrers")},
		{"blob", registryHost, isKind("blobs")},
	} {
		for _, name := range []string{"hang", "drip", "reset", "busy", "failing"} {
			t.Run(where.name+" "+name, func(t *testing.T) {
				t.Parallel()
				f := f.twin(t)
				ctx, arrived := untilReached(t)
				hang := func(r *http.Request) {
					arrived()
					select {
					case <-r.Context().Done():
					case <-ended:
					}
				}
				f.on(where.match, map[string]http.HandlerFunc{
					"hang": func(_ http.ResponseWriter, r *http.Request) { hang(r) },
					"drip": func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
						w.WriteHeader(http.StatusOK)
						_ = http.NewResponseController(w).Flush()
						hang(r)
					},
					"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
					"busy": func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Retry-After", "86400") // beyond any deadline
						w.WriteHeader(http.StatusTooManyRequests)
					},
					"failing": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
				}[name])
				s := f.storeWith(Options{timeout: forever}, user("secret"))
				blobs, err := verify(ctx, s, subject)
				if where.name == "check" && (name == "busy" || name == "failing" || name == "drip") || (where.name == "subject" && name == "drip") {
					return // the request itself decides
				}
				wantError(t, err, where.host)
				undetermined(t, err)
				if blobs != nil {
					t.Errorf("%q", blobs)
				}
				if hangs := name == "hang" || name == "drip"; hangs != errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
				f.set(func() { f.intercept = nil })
				wantAfterFault(t, s, subject)
			})
		}
	}
}

// A call ends by itself when its time has run out, whatever time its caller has.
func TestCallTimeout(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, _ := f.image("app", "v1")
	f.on(isKind("manifests"), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, err := f.storeWith(Options{timeout: 100 * time.Millisecond}, nil).GetSubjectDescriptor(t.Context(), subject)
	undetermined(t, err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestCallerGivesUp(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, _ := f.image("app", "v1")
	reached, release := make(chan struct{}, 2), make(chan struct{})
	f.on(isKind("manifests"), func(http.ResponseWriter, *http.Request) {
		reached <- struct{}{}
		<-release
	})
	s := f.store(nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	_, err := s.GetSubjectDescriptor(ctx, subject)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantError(t, err, "waiting for an answer of "+registryHost)
	f.set(func() { f.intercept = nil })
	if _, err := s.GetSubjectDescriptor(t.Context(), subject); err != nil {
		t.Errorf("the next caller: %v", err)
	}
	close(release)
}

// twin is a fake of its own before the same registry.
func (f *fake) twin(t *testing.T) *fake {
	twin := newFake(t)
	twin.back = f.back
	twin.password = f.password
	return twin
}

func TestRetry(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, _ := f.image("app", "v1")
	for _, status := range []int{http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway} {
		var mu sync.Mutex
		left := 2
		f.on(isKind("manifests"), func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if left--; left >= 0 {
				w.WriteHeader(status)
				return
			}
			f.forward(w, r)
		})
		if _, err := f.store(nil).GetSubjectDescriptor(t.Context(), subject); err != nil {
			t.Errorf("%d twice: %v", status, err)
		}
	}
}
