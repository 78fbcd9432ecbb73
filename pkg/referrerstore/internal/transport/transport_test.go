package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"localhost.example.com": false, "127.0.0.1.example.com": false, "128.0.0.1": false, "::2": false, "": false, "example.com": false} {
		if got := IsLoopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}

// get sends one request to a server whose n-th answer is answers[n-1], or the last, and returns the status and how many it took.
func get(t *testing.T, budget time.Duration, answers ...http.HandlerFunc) (status, requests int, err error) {
	t.Helper()
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers[min(int(n.Add(1)), len(answers))-1](w, r)
	}))
	defer server.Close()
	tr, err := New(Config{Base: &http.Transport{}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	ctx, cancel := context.WithTimeout(t.Context(), budget)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err == nil {
		status = resp.StatusCode
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	return status, int(n.Load()), err
}

func TestRetry(t *testing.T) {
	answer := func(status int, retryAfter string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			w.WriteHeader(status)
		}
	}
	ok, abort := answer(http.StatusOK, ""), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	date := func(in time.Duration) string { return time.Now().Add(in).UTC().Format(http.TimeFormat) }
	for name, test := range map[string]struct {
		answers          []http.HandlerFunc
		status, requests int
	}{
		"fine":                     {[]http.HandlerFunc{ok}, 200, 1},
		"busy once":                {[]http.HandlerFunc{answer(429, ""), ok}, 200, 2},
		"failing once":             {[]http.HandlerFunc{answer(503, ""), ok}, 200, 2},
		"dropped once":             {[]http.HandlerFunc{abort, ok}, 200, 2},
		"client's fault":           {[]http.HandlerFunc{answer(404, ""), ok}, 404, 1},
		"not implemented":          {[]http.HandlerFunc{answer(501, ""), ok}, 501, 1},
		"wish beyond the deadline": {[]http.HandlerFunc{answer(429, "60"), ok}, 429, 1},
		"date beyond the deadline": {[]http.HandlerFunc{answer(503, date(time.Minute)), ok}, 503, 1},
		"date in the past":         {[]http.HandlerFunc{answer(503, date(-time.Minute)), ok}, 200, 2},
		"unreadable wish":          {[]http.HandlerFunc{answer(503, "-5"), ok}, 200, 2},
		"huge wish":                {[]http.HandlerFunc{answer(503, "99999999999999999999"), ok}, 200, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, requests, err := get(t, 30*time.Second, test.answers...)
			if err != nil || status != test.status || requests != test.requests {
				t.Errorf("%d after %d requests, %v; want %d after %d", status, requests, err, test.status, test.requests)
			}
		})
	}
	t.Run("for ever", func(t *testing.T) {
		t.Parallel()
		if status, requests, err := get(t, 30*time.Second, answer(500, "")); status != 500 || requests != 3 || err != nil {
			t.Errorf("%d after %d requests, %v", status, requests, err)
		}
	})
	t.Run("Retry-After", func(t *testing.T) {
		t.Parallel()
		began := time.Now()
		if status, _, err := get(t, 30*time.Second, answer(429, "1"), ok); status != 200 || err != nil || time.Since(began) < time.Second {
			t.Errorf("%d, %v after %s", status, err, time.Since(began))
		}
	})
}

func TestDeadline(t *testing.T) {
	_, _, err := get(t, 50*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestOnRequest(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	var seen []string
	tr, err := New(Config{Now: time.Now, OnRequest: func(host string, status int) { seen = append(seen, fmt.Sprint(host, " ", status)) }})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	host := server.Listener.Addr().String()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host, nil)
		if resp, err := tr.RoundTrip(req); err == nil {
			resp.Body.Close()
		}
		server.Close()
	}
	if len(seen) < 2 || seen[0] != host+" 404" || seen[1] != host+" 0" {
		t.Errorf("told of %q", seen)
	}
}
