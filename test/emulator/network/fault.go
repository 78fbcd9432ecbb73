package network

import (
	"bytes"
	"crypto/tls"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

const (
	// dripInterval is the time between two bytes of a Drip: too fast for idle time-outs, too slow to be of use.
	dripInterval = time.Second
	// paddingSize is how much an Oversize body grows by at a time. It goes on with white space, which keeps JSON valid, so
	// that only a limit stops a reader.
	paddingSize = 32 << 10
)

// Fault is a way in which an endpoint fails. At most one of Hang, Reset, Drip, Corrupt and Oversize is heeded, in this
// order. Without any of them, Status (0: 200), Header and Body are the answer.
type Fault struct {
	Status int
	Body   string
	Header http.Header

	Hang     bool // accepts the request and never answers
	Reset    bool // ends the connection with a TCP reset
	Drip     bool // sends the answer's header and then a byte a second
	Corrupt  bool // sends the right status, header and length with wrong bytes
	Oversize bool // sends the right answer and then white space without end

	Match func(*http.Request) bool // the requests that fail; nil: all
	Times int                      // how many fail before the fault clears itself; 0: no limit
}

// isZero reports whether f is no fault.
func (f Fault) isZero() bool {
	return f.Status == 0 && f.Body == "" && f.Header == nil && !f.Hang && !f.Reset && !f.Drip && !f.Corrupt && !f.Oversize
}

// fail answers a request as the fault says.
func (e *Endpoint) fail(f Fault, w http.ResponseWriter, r *http.Request) {
	switch {
	case f.Hang:
		// The server notices that a client leaves only once the body has been read.
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-e.network.done:
		}
		panic(http.ErrAbortHandler)
	case f.Reset:
		reset(r)
	case f.Drip:
		e.drip(e.answer(f, r), w, r)
	case f.Corrupt:
		answer := e.answer(f, r)
		for i := range answer.body {
			answer.body[i] ^= 1
		}
		answer.start(w)
		_, _ = w.Write(answer.body)
	case f.Oversize:
		e.overflow(e.answer(f, r), w, r)
	default:
		answer := e.answer(f, r)
		answer.start(w)
		_, _ = w.Write(answer.body)
	}
}

// reset ends the request's connection so that the kernel sends RST instead of FIN, and below TLS so that no alert precedes.
func reset(r *http.Request) {
	conn, _ := r.Context().Value(connection{}).(net.Conn)
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if conn != nil {
		end(net.ErrClosed, conn)
	}
	panic(http.ErrAbortHandler)
}

// answer is a complete reply that is not sent yet.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// answer returns what the fault says to answer with, or the service's own answer if it says nothing of that.
func (e *Endpoint) answer(f Fault, r *http.Request) answer {
	if f.Status != 0 || f.Body != "" || f.Header != nil {
		header := f.Header.Clone()
		if header == nil {
			header = http.Header{}
		}
		return answer{status: max(f.Status, http.StatusOK), header: header, body: []byte(f.Body)}
	}
	recorder := httptest.NewRecorder()
	e.service.ServeHTTP(recorder, r)
	return answer{status: recorder.Code, header: recorder.Header(), body: recorder.Body.Bytes()}
}

func (a answer) start(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
}

func (e *Endpoint) drip(a answer, w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodHead {
		a.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	a.start(w)
	flush := http.NewResponseController(w).Flush
	for i := range a.body {
		if flush() != nil || !e.sleep(r.Context(), dripInterval) {
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write(a.body[i : i+1]); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

func (e *Endpoint) overflow(a answer, w http.ResponseWriter, r *http.Request) {
	a.header.Del("Content-Length")
	a.start(w)
	if r.Method == http.MethodHead {
		return
	}
	padding := bytes.Repeat([]byte(" "), paddingSize)
	_, err := w.Write(a.body)
	for err == nil && r.Context().Err() == nil {
		select {
		case <-e.network.done:
			err = net.ErrClosed
		default:
			_, err = w.Write(padding)
		}
	}
	panic(http.ErrAbortHandler)
}
