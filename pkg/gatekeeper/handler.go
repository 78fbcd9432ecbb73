package gatekeeper

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

const (
	// root is the path that Gatekeeper's Provider resources for Ratify name.
	root = "/ratify/gatekeeper/v1"
	// maxTraceIDBytes bounds the trace id taken from a header; longer ones are not ids.
	maxTraceIDBytes = 128
	// maxNamed bounds the images that a systemError names, and the reports that a line of the log does, so that they can be read.
	maxNamed = 10
	// maxCauseBytes bounds what it says of each: the cause may be about many referrers.
	maxCauseBytes = 1000
	// maxLoggedBytes bounds what a line of the log has of one report or error, of which ordinary ones have less than 2 KiB.
	maxLoggedBytes = 4 << 10
	// maxReportBytes bounds the reports of an answer, which is made in memory: who makes pods can ask for one image with hundreds of
	// signatures under a thousand names. A thousand images with a few signatures each have less.
	maxReportBytes = 8 << 20
	// maxAtOnce bounds the images of one request that are asked about at once, so that a pod with hundreds of images from a
	// registry that hangs leaves room for others. Pods have a handful.
	maxAtOnce = 32
)

// Session answers about the images of one request. verification.Session is one.
type Session interface {
	Known(namespace, image string) (verification.Verdict, bool)
	Verify(ctx context.Context, namespace, image string) verification.Verdict
	Resolve(ctx context.Context, namespace, image string) (string, error)
	VerifyTimeout() time.Duration
	MutateTimeout() time.Duration
}

// Metrics is told of each request. *metrics.Metrics is one.
type Metrics interface {
	VerifyRequest(time.Duration)
	MutateRequest(time.Duration)
	SystemError(kind string)
	Verdict(outcome, namespace string)
}

// HandlerOptions are a handler's settings.
type HandlerOptions struct {
	Metrics Metrics
	Log     *slog.Logger
	// TraceIDHeaders are the request headers that may carry a trace id, the first that does wins. Without one, each request
	// gets an id of its own.
	TraceIDHeaders []string
}

type handler struct {
	begin func() Session
	HandlerOptions
}

// NewHandler returns the handler of verify and mutate, which begins a Session for each request.
func NewHandler(begin func() Session, o HandlerOptions) http.Handler {
	h := &handler{begin, o}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+root+"/verify", h.answer("verify", h.verify, h.Metrics.VerifyRequest))
	mux.HandleFunc("POST "+root+"/mutate", h.answer("mutate", h.mutate, h.Metrics.MutateRequest))
	return mux
}

// call is one request while it is answered.
type call struct {
	traceID string
	keys    []string
	counts  [3]int // of outcomes
}

// answer wraps what verify and mutate have in common: reading, time, panics, the log.
func (h *handler) answer(name string, fill func(context.Context, *call) response, observe func(time.Duration)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		c := &call{traceID: h.traceID(r)}
		req, err := readRequest(w, r)
		var res response
		status := http.StatusOK
		if err != nil {
			status = http.StatusBadRequest
			res.systemError = fmt.Sprintf("ratify cannot read the request: %v", err)
			h.Metrics.SystemError("bad_request")
		} else {
			c.keys = req.Request.Keys
			res = h.guarded(r.Context(), c, fill)
		}
		res.apiVersion, res.traceID, res.now = req.APIVersion, c.traceID, start
		res.idempotent = name == "mutate" // Gatekeeper refuses a mutation that is not
		body := res.json()
		w.Header()["Content-Type"] = contentType
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
		w.WriteHeader(status)
		if _, err := w.Write(body); err != nil {
			h.Log.Warn("the answer could not be sent; Gatekeeper has gone away or timed out", "trace_id", c.traceID, "error", err)
		}
		elapsed := time.Since(start)
		observe(elapsed)
		level := slog.LevelDebug // that all went well is what metrics tell
		if status != http.StatusOK || c.counts[verification.Refused]+c.counts[verification.Undetermined] > 0 {
			level = slog.LevelInfo
		}
		if h.Log.Enabled(r.Context(), level) {
			h.Log.Log(r.Context(), level, name, "trace_id", c.traceID, "status", status, "images", len(c.keys),
				"verified", c.counts[verification.Verified], "refused", c.counts[verification.Refused],
				"undetermined", c.counts[verification.Undetermined], "ms", elapsed.Milliseconds())
		}
	}
}

var contentType = []string{"application/json"}

// guarded answers with a systemError where fill panics: whatever went wrong, it is no verdict.
func (h *handler) guarded(ctx context.Context, c *call, fill func(context.Context, *call) response) (res response) {
	defer func() {
		if p := recover(); p != nil {
			h.Log.Error("panic", "trace_id", c.traceID, "panic", p, "stack", string(debug.Stack()))
			h.Metrics.SystemError("panic")
			res = response{systemError: "ratify failed on this request; its log has the details under trace id " + c.traceID}
		}
	}()
	return fill(ctx, c)
}

// question is a key of a verify request, and what is known of it.
type question struct {
	namespace, image string
	verdict          verification.Verdict
}

// settle takes the verdict, unless those before have filled the answer. told is the size of their reports.
func (q *question) settle(v verification.Verdict, told *atomic.Int64) {
	if v.Outcome == verification.Undetermined {
		v.Reports = nil // which are not told
	}
	q.verdict = v
	if size := v.ReportBytes(); size > 0 && told.Add(size)-size > maxReportBytes {
		q.verdict = verification.Verdict{Err: errFull}
	}
}

var errFull = fmt.Errorf("the reports about other images fill the answer, which can have %d MiB; ask about fewer images at once", maxReportBytes>>20)

func (h *handler) verify(ctx context.Context, c *call) response {
	session := h.begin()
	questions := make([]question, len(c.keys))
	var unknown []*question
	var told atomic.Int64
	for i, key := range c.keys {
		q := &questions[i]
		var err error
		if q.namespace, q.image, err = verification.ParseKey(key); err != nil {
			q.verdict = verification.RefuseKey(key, err)
			continue
		}
		if known, ok := session.Known(q.namespace, q.image); ok {
			q.settle(known, &told)
		} else {
			unknown = append(unknown, q)
		}
	}
	if len(unknown) > 0 {
		ctx, cancel := context.WithTimeout(ctx, session.VerifyTimeout())
		defer cancel()
		forEach(unknown, func(_ int, q *question) { q.settle(session.Verify(ctx, q.namespace, q.image), &told) })
	}

	res := response{items: make([]item, 0, len(c.keys))}
	var open []string
	for i := range questions {
		key, v := c.keys[i], &questions[i].verdict
		c.counts[v.Outcome]++
		h.Metrics.Verdict(v.Outcome.String(), questions[i].namespace)
		if v.Outcome == verification.Undetermined {
			cause := fmt.Sprint(v.Err)
			open = append(open, fmt.Sprintf("%s: %s", key, shorten(cause, maxCauseBytes)))
			h.Log.Warn("undetermined", "trace_id", c.traceID, "image", key, "error", shorten(cause, maxLoggedBytes))
			continue
		}
		if v.Outcome == verification.Refused {
			h.Log.Info("refused", "trace_id", c.traceID, "image", shorten(key, maxCauseBytes),
				"reports", len(v.Reports), "first", first(v.Reports))
		}
		res.items = append(res.items, item{key: key, verdict: v})
	}
	if len(open) > 0 {
		h.Metrics.SystemError(verification.Undetermined.String())
		res.systemError = systemError(open, len(c.keys), c.traceID)
	}
	return res
}

// reports are those of a verdict in the log, which in form json has them as they are.
type reports []json.RawMessage

// first returns the first of all reports, and of long ones their beginning, as text.
func first(all []json.RawMessage) reports {
	some := slices.Clone(all[:min(len(all), maxNamed)])
	for i, report := range some {
		if len(report) > maxLoggedBytes {
			some[i] = appendString(nil, shorten(string(report), maxLoggedBytes))
		}
	}
	return some
}

// String is their form in a log of text.
func (r reports) String() string { return fmt.Sprintf("%s", []json.RawMessage(r)) }

func (h *handler) mutate(ctx context.Context, c *call) response {
	session := h.begin()
	ctx, cancel := context.WithTimeout(ctx, session.MutateTimeout())
	defer cancel()
	res := response{items: make([]item, len(c.keys))}
	forEach(c.keys, func(i int, key string) {
		namespace, image, err := verification.ParseKey(key)
		pinned := image
		if err == nil {
			pinned, err = session.Resolve(ctx, namespace, image)
		}
		res.items[i] = item{key: key, image: pinned}
		if err != nil {
			res.items[i] = item{key: key, image: key, err: fmt.Sprintf("%s (trace id %s)", shorten(fmt.Sprint(err), maxCauseBytes), c.traceID)}
			h.Log.Warn("not mutated", "trace_id", c.traceID, "image", shorten(key, maxCauseBytes), "error", err)
		}
	})
	return res
}

// forEach runs do for all that is asked, maxAtOnce at a time, and waits for them. A panic is raised again in the caller, with its place.
func forEach[T any](asked []T, do func(i int, one T)) {
	if len(asked) == 1 {
		do(0, asked[0])
		return
	}
	var group errgroup.Group
	group.SetLimit(maxAtOnce)
	panics := make(chan string, len(asked))
	for i, one := range asked {
		group.Go(func() error {
			defer func() {
				if p := recover(); p != nil {
					panics <- fmt.Sprintf("%v\n%s", p, debug.Stack())
				}
			}()
			do(i, one)
			return nil
		})
	}
	_ = group.Wait() // do has no error
	select {
	case p := <-panics:
		panic(p)
	default:
	}
}

// shorten cuts a text at limit bytes.
func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}

// systemError names the images without a verdict, each with its cause.
func systemError(open []string, asked int, traceID string) string {
	named, more := open, ""
	if len(open) > maxNamed {
		named, more = open[:maxNamed], fmt.Sprintf("; and %d more", len(open)-maxNamed)
	}
	return fmt.Sprintf("%d of %d images could not be checked, and will be on the next request: %s%s (trace id %s)",
		len(open), asked, strings.Join(named, "; "), more, traceID)
}

func (h *handler) traceID(r *http.Request) string {
	for _, name := range h.TraceIDHeaders {
		if id := r.Header.Get(name); id != "" && len(id) <= maxTraceIDBytes {
			return id
		}
	}
	return uuid.NewString()
}
