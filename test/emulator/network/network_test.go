package network

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	known    = "known.example.com"
	greeting = `{"answer": "forty-two"}`
)

// echo answers every request alike.
type echo struct{}

func (echo) Action(r *http.Request) string { return r.URL.Query().Get("Action") }

func (echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Protocol", r.Proto)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, greeting)
}

func start(t *testing.T) *Network {
	t.Helper()
	n, err := New(func(host string) Service {
		if host == known {
			return echo{}
		}
		return nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return n
}

func endpoint(t *testing.T, n *Network) *Endpoint {
	t.Helper()
	e, err := n.Endpoint(known)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// get returns the whole answer to a request within two seconds.
func get(t *testing.T, transport *http.Transport, url string) (*http.Response, []byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4<<20))
	return response, body, err
}

func TestHostsByName(t *testing.T) {
	n := start(t)
	for _, test := range []struct {
		protocol string
		h2       bool
	}{{"HTTP/1.1", false}, {"HTTP/2.0", true}} {
		transport := n.Transport()
		transport.ForceAttemptHTTP2 = test.h2
		if !test.h2 {
			transport.Protocols = new(http.Protocols)
			transport.Protocols.SetHTTP1(true)
		}
		response, body, err := get(t, transport, "https://KNOWN.example.com/?Action=Read")
		if err != nil {
			t.Fatal(err)
		}
		if got := response.Header.Get("X-Protocol"); got != test.protocol || string(body) != greeting {
			t.Errorf("got %s %s, want %s", got, body, test.protocol)
		}
	}
	if got := endpoint(t, n).CallsTo("Read"); got != 2 {
		t.Errorf("CallsTo(Read) = %d, want 2", got)
	}
	n.ResetCalls()
	if got := endpoint(t, n).Calls(); got != 0 {
		t.Errorf("Calls after ResetCalls = %d", got)
	}
}

func TestUnknownHostsLeadNowhere(t *testing.T) {
	n := start(t)
	for _, url := range []string{
		"https://unknown.example.com/",
		"https://known.example.com:8443/",
		"https://known.example.com.evil.example.org/",
	} {
		if _, _, err := get(t, n.Transport(), url); err == nil || !strings.Contains(err.Error(), "Bad Gateway") {
			t.Errorf("%s: error %v, want Bad Gateway", url, err)
		}
	}
	response, body, err := get(t, n.Transport(), "http://known.example.com/")
	if err != nil || response.StatusCode != http.StatusBadGateway {
		t.Errorf("plain http: %v, %s, error %v, want 502", response, body, err)
	}
	want := map[string]int{
		"unknown.example.com CONNECT":                1,
		"known.example.com CONNECT":                  1,
		"known.example.com.evil.example.org CONNECT": 1,
		"known.example.com GET":                      1,
	}
	got := n.Calls()
	for what, count := range want {
		if got[what] != count {
			t.Errorf("Calls()[%q] = %d, want %d; all: %v", what, got[what], count, got)
		}
	}
	if _, err := n.Endpoint("unknown.example.com"); !errors.Is(err, ErrUnknownHost) {
		t.Errorf("Endpoint: error %v, want ErrUnknownHost", err)
	}
}

func TestHostsByAddress(t *testing.T) {
	n := start(t)
	transport := n.Transport()
	transport.Proxy = nil
	_, body, err := get(t, transport, "https://"+endpoint(t, n).Addr()+"/")
	if err != nil || string(body) != greeting {
		t.Errorf("got %s, error %v", body, err)
	}
}

func TestCertificatesNeedTheAuthority(t *testing.T) {
	n := start(t)
	transport := n.Transport()
	transport.TLSClientConfig.RootCAs = nil
	if _, _, err := get(t, transport, "https://known.example.com/"); err == nil {
		t.Error("a client without the authority was served")
	}
}

func TestFaults(t *testing.T) {
	timeout := func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }
	tests := []struct {
		name  string
		fault Fault
		check func(t *testing.T, response *http.Response, body []byte, err error)
	}{
		{"status", Fault{Status: 503, Body: "<html>", Header: http.Header{"Retry-After": {"7"}}},
			func(t *testing.T, response *http.Response, body []byte, err error) {
				if err != nil || response.StatusCode != 503 || string(body) != "<html>" || response.Header.Get("Retry-After") != "7" {
					t.Errorf("got %v %s, error %v", response, body, err)
				}
			}},
		{"body only", Fault{Body: "lie"}, func(t *testing.T, response *http.Response, body []byte, err error) {
			if err != nil || response.StatusCode != 200 || string(body) != "lie" {
				t.Errorf("got %v %s, error %v", response, body, err)
			}
		}},
		{"hang", Fault{Hang: true}, func(t *testing.T, response *http.Response, _ []byte, err error) {
			if !timeout(err) || response != nil {
				t.Errorf("got %v, error %v, want a time-out before the header", response, err)
			}
		}},
		{"reset", Fault{Reset: true}, func(t *testing.T, _ *http.Response, _ []byte, err error) {
			// A reset is told once only: to who writes, as HTTP/2 does all the time, or to who reads, for whom it then is an end.
			if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v, want a TCP reset", err)
			}
		}},
		{"drip", Fault{Drip: true}, func(t *testing.T, response *http.Response, body []byte, err error) {
			if !timeout(err) || response == nil || response.StatusCode != 200 || response.ContentLength != int64(len(greeting)) ||
				len(body) == 0 || !strings.HasPrefix(greeting[:5], string(body)) {
				t.Errorf("got %v, body %q, error %v, want a header, up to 5 bytes and a time-out", response, body, err)
			}
		}},
		{"corrupt", Fault{Corrupt: true}, func(t *testing.T, response *http.Response, body []byte, err error) {
			if err != nil || response.StatusCode != 200 || len(body) != len(greeting) || string(body) == greeting ||
				response.Header.Get("Content-Type") != "application/json" {
				t.Errorf("got %v, body %q, error %v", response, body, err)
			}
		}},
		{"oversize", Fault{Oversize: true}, func(t *testing.T, response *http.Response, body []byte, err error) {
			if err != nil || !bytes.HasPrefix(body, []byte(greeting)) || len(body) != 4<<20 {
				t.Errorf("got %d bytes, error %v, want as many as the reader takes", len(body), err)
			}
		}},
	}
	for _, test := range tests {
		for _, h2 := range []bool{false, true} {
			name := test.name + " HTTP/1.1"
			if h2 {
				name = test.name + " HTTP/2"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel() // most of the time is spent waiting
				n := start(t)
				transport := n.Transport()
				transport.ForceAttemptHTTP2 = h2
				e := endpoint(t, n)
				e.SetFault(test.fault)
				response, body, err := get(t, transport, "https://known.example.com/?Action=Read")
				test.check(t, response, body, err)
				if e.CallsTo("Read") == 0 {
					t.Error("the faulted request was not counted")
				}
				e.SetFault(Fault{})
				if _, body, err = get(t, transport, "https://known.example.com/"); err != nil || string(body) != greeting {
					t.Errorf("after the fault: got %s, error %v", body, err)
				}
			})
		}
	}
}

func TestFaultMatchAndTimes(t *testing.T) {
	n := start(t)
	e := endpoint(t, n)
	e.SetFault(Fault{Status: 500, Times: 2, Match: func(r *http.Request) bool { return r.URL.Path == "/bad" }})
	var got []int
	for _, path := range []string{"/good", "/bad", "/good", "/bad", "/bad"} {
		response, _, err := get(t, n.Transport(), "https://"+known+path)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, response.StatusCode)
	}
	for i, want := range []int{200, 500, 200, 500, 200} {
		if got[i] != want {
			t.Fatalf("statuses %v: number %d should be %d", got, i, want)
		}
	}
}

func TestLatency(t *testing.T) {
	n := start(t)
	const latency = 150 * time.Millisecond
	endpoint(t, n).SetLatency(latency)
	begin := time.Now()
	if _, _, err := get(t, n.Transport(), "https://"+known+"/"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < latency {
		t.Errorf("answered after %s, want at least %s", took, latency)
	}
}

func TestCloseEndsWhatHangs(t *testing.T) {
	n := start(t)
	e := endpoint(t, n)
	arrived := make(chan struct{})
	e.SetFault(Fault{Hang: true, Match: func(*http.Request) bool { close(arrived); return true }})
	ended := make(chan error, 1)
	transport := n.Transport()
	go func() {
		request, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+known+"/", nil)
		response, err := transport.RoundTrip(request)
		if err == nil {
			response.Body.Close()
		}
		ended <- err
	}()
	idle, err := net.Dial("tcp", e.Addr()) // a connection that never begins TLS must not hold Close up either
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	<-arrived
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the hanging request was answered")
	}
	if _, err := n.Endpoint(known); !errors.Is(err, ErrClosed) {
		t.Errorf("Endpoint after Close: error %v, want ErrClosed", err)
	}
}
