package referrerstore

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestFaults(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	hang := func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	}
	drip := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		hang(w, r)
	}
	reset := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
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
		for name, handler := range map[string]http.HandlerFunc{"hang": hang, "drip": drip, "reset": reset,
			"busy": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "60")
				w.WriteHeader(http.StatusTooManyRequests)
			},
			"failing": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		} {
			t.Run(where.name+" "+name, func(t *testing.T) {
				t.Parallel()
				f := f.twin(t)
				f.on(where.match, handler)
				// Long enough to get to the fault on a busy machine; the hanging ones cost the test so much.
				s := f.storeWith(Options{timeout: 1500 * time.Millisecond}, user("secret"))
				ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
				defer cancel()
				began := time.Now()
				blobs, err := verify(ctx, s, subject)
				if where.name == "check" && (name == "busy" || name == "failing" || name == "drip") || (where.name == "subject" && name == "drip") {
					return // the request itself decides
				}
				wantError(t, err, where.host)
				if errors.Is(err, ErrNotFound) || errors.Is(err, ErrLimit) || errors.Is(err, ErrMalformed) || blobs != nil {
					t.Errorf("%q, %v", blobs, err)
				}
				if took := time.Since(began); took > 6*time.Second {
					t.Errorf("took %s", took)
				}
				f.set(func() { f.intercept = nil })
				wantBlobs(t, f.store(user("secret")), subject, "signature")
			})
		}
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
