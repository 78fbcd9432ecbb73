package httplimit

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestClient(t *testing.T) {
	var size int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hang" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), size))
	}))
	defer server.Close()
	for _, test := range []struct {
		name    string
		client  *http.Client
		path    string
		size    int
		want    int
		problem string
	}{
		{"short", Client(nil, time.Minute, 10), "/", 9, 9, ""},
		{"full", Client(&http.Transport{}, time.Minute, 10), "/", 10, 10, ""},
		{"long", Client(nil, time.Minute, 10), "/", 11, 10, "more than 10 bytes"},
		{"far too long", Client(nil, time.Minute, 10), "/", 1 << 20, 10, "more than 10 bytes"},
		{"hanging", Client(nil, 50*time.Millisecond, 10), "/hang", 0, 0, "time-out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			size = test.size
			resp, err := test.client.Get(server.URL + test.path)
			var got []byte
			if err == nil { // else the time ran out even before the header came
				defer resp.Body.Close()
				got, err = io.ReadAll(resp.Body)
			}
			problem := ""
			if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
				problem = "time-out" // for which net/http has several words
			} else if err != nil {
				problem = err.Error()
			}
			if len(got) != test.want || (problem == "") != (test.problem == "") || !strings.Contains(problem, test.problem) {
				t.Errorf("%d bytes, %v; want %d, %q", len(got), err, test.want, test.problem)
			}
		})
	}
}

// Once there is an answer, nothing reads the caller's body any more, although whoever answered has not taken it.
func TestEarlyAnswer(t *testing.T) {
	body := strings.NewReader("body")
	early := roundTripper(func(req *http.Request) (*http.Response, error) {
		if body.Len() > 0 {
			t.Errorf("%d bytes are still to be read", body.Len())
		}
		for range 2 { // net/http does so, too, where a connection was closed
			again, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			if got, err := io.ReadAll(again); err != nil || string(got) != "body" {
				t.Errorf("sent %q, %v", got, err)
			}
		}
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody}, nil
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://example.com", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := copying{early}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Who goes on reading after the error gets it again, and never a count below zero, which makes readers panic.
func TestReadOn(t *testing.T) {
	b := Body(io.NopCloser(strings.NewReader("12345")), "example.com", 3)
	var got bytes.Buffer
	for range 3 {
		if _, err := got.ReadFrom(b); err == nil || !strings.Contains(err.Error(), "example.com has more than 3 bytes") {
			t.Errorf("%v", err)
		}
	}
	if got.String() != "123" {
		t.Errorf("read %q", &got)
	}
}
