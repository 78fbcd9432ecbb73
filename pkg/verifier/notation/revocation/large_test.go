package revocation

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Large answers wait for those that are being read; small ones do not.
func TestLargeOnesWait(t *testing.T) {
	client := limited(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		size := smallListBytes
		if r.URL.Path == "/large" {
			size++
		}
		return answer{status: http.StatusOK, body: make([]byte, size)}.response(r), nil
	})})
	read := func(path string, limit time.Duration) (io.Closer, error) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		t.Cleanup(cancel)
		response := must(client.Do(must(http.NewRequestWithContext(ctx, http.MethodGet, "http://ca.example.com"+path, nil))(t)))(t)
		_, err := new(bytes.Buffer).ReadFrom(response.Body)
		return response.Body, err
	}
	var open []io.Closer
	for range maxLargeLists {
		body, err := read("/large", time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, body)
	}
	body, err := read("/large", 10*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "other large revocation lists were being read") {
		t.Errorf("one too many: %v", err)
	}
	open = append(open, body)
	if body, err = read("/small", time.Minute); err != nil {
		t.Error(err)
	}
	for _, body := range append(open, body) {
		for range 2 {
			if err := body.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if body, err = read("/large", time.Minute); err != nil {
		t.Error(err)
	}
	if err := body.Close(); err != nil {
		t.Error(err)
	}
}
