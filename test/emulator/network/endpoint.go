package network

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"sync"
	"time"
)

// maxBody bounds a request's body, so that a client gone wild fails instead of filling the memory. Images of tests are far
// smaller.
const maxBody = 64 << 20

// connection is the key of a request's net.Conn in its context.
type connection struct{}

// Endpoint is one host: its listener, its counters and what is wrong with it. All methods are safe for concurrent use.
type Endpoint struct {
	network *Network
	service Service
	server  *http.Server
	address string

	mu      sync.Mutex
	calls   map[string]int
	latency time.Duration
	fault   *Fault // nil: none
	faulted int    // requests that the fault has met
}

// Addr returns host:port where the host is served directly, over TLS.
func (e *Endpoint) Addr() string { return e.address }

// SetLatency delays every answer from now on.
func (e *Endpoint) SetLatency(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.latency = d
}

// SetFault replaces the endpoint's fault. The zero Fault clears it.
func (e *Endpoint) SetFault(f Fault) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fault, e.faulted = nil, 0
	if !f.isZero() {
		e.fault = &f
	}
}

// Calls returns the number of requests since the start or ResetCalls, those that met a fault included.
func (e *Endpoint) Calls() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	total := 0
	for count := range maps.Values(e.calls) {
		total += count
	}
	return total
}

// CallsTo is Calls for one action.
func (e *Endpoint) CallsTo(action string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.calls[action]
}

// ServeHTTP counts a request, then answers it as latency, fault and service say.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.network.enter() {
		panic(http.ErrAbortHandler)
	}
	defer e.network.leave()
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	action := e.service.Action(r)
	latency, fault := e.arrive(action, r)
	if !e.sleep(r.Context(), latency) {
		panic(http.ErrAbortHandler)
	}
	if fault == nil {
		e.service.ServeHTTP(w, r)
		return
	}
	e.fail(*fault, w, r)
}

// arrive counts a request and returns what applies to it.
func (e *Endpoint) arrive(action string, r *http.Request) (time.Duration, *Fault) {
	e.mu.Lock()
	e.calls[cmp.Or(action, "none")]++
	latency, fault := e.latency, e.fault
	e.mu.Unlock()
	// Match is the test's and may use the endpoint: it is called without the lock.
	if fault == nil || fault.Match != nil && !fault.Match(r) || !e.use(fault) {
		return latency, nil
	}
	return latency, fault
}

// use counts a use of the fault, and returns false if it has been cleared meanwhile.
func (e *Endpoint) use(fault *Fault) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fault != fault {
		return false
	}
	if e.faulted++; e.faulted == fault.Times {
		e.fault = nil
	}
	return true
}

// sleep returns false if the client left or the network closed meanwhile.
func (e *Endpoint) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-e.network.done:
		return false
	}
}
