package gatekeeper

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
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
	// maxAtOnce bounds the images of one request that are asked about at once, so that a pod with hundreds of images from a
	// registry that hangs leaves room for others. Pods have a handful.
	maxAtOnce = 32
)

// Session answers about the images of one request. verification.Session is one.
type Session interface {
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

// answer wraps what verify and mutate have in common: reading, time, panics, the access log.
func (h *handler) answer(name string, fill func(context.Context, *call) responseBody, observe func(time.Duration)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		c := &call{traceID: h.traceID(r)}
		req, err := readRequest(w, r)
		res := response{APIVersion: req.APIVersion, Kind: "ProviderResponse"}
		status := http.StatusOK
		if err != nil {
			status = http.StatusBadRequest
			res.Response.SystemError = fmt.Sprintf("ratify cannot read the request: %v", err)
			h.Metrics.SystemError("bad_request")
		} else {
			c.keys = req.Request.Keys
			res.Response = h.guarded(r.Context(), c, fill)
		}
		res.Response.Idempotent = name == "mutate" // Gatekeeper refuses a mutation that is not
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(res); err != nil {
			h.Log.Warn("the answer could not be sent; Gatekeeper has gone away or timed out", "trace_id", c.traceID, "error", err)
		}
		elapsed := time.Since(start)
		observe(elapsed)
		h.Log.Info(name, "trace_id", c.traceID, "status", status, "images", len(c.keys),
			"verified", c.counts[verification.Verified], "refused", c.counts[verification.Refused],
			"undetermined", c.counts[verification.Undetermined], "ms", elapsed.Milliseconds())
	}
}

// guarded answers with a systemError where fill panics: whatever went wrong, it is no verdict.
func (h *handler) guarded(ctx context.Context, c *call, fill func(context.Context, *call) responseBody) (body responseBody) {
	defer func() {
		if p := recover(); p != nil {
			h.Log.Error("panic", "trace_id", c.traceID, "panic", p, "stack", string(debug.Stack()))
			h.Metrics.SystemError("panic")
			body = responseBody{SystemError: "ratify failed on this request; its log has the details under trace id " + c.traceID}
		}
	}()
	return fill(ctx, c)
}

func (h *handler) verify(ctx context.Context, c *call) responseBody {
	session := h.begin()
	ctx, cancel := context.WithTimeout(ctx, session.VerifyTimeout())
	defer cancel()
	verdicts := make([]verification.Verdict, len(c.keys))
	namespaces := make([]string, len(c.keys))
	forEach(c.keys, func(i int, key string) {
		namespace, image, err := verification.ParseKey(key)
		if err != nil {
			verdicts[i] = verification.RefuseKey(key, err)
			return
		}
		namespaces[i] = namespace
		verdicts[i] = session.Verify(ctx, namespace, image)
	})

	var body responseBody
	var open []string
	now := time.Now().UTC().Format(time.RFC3339Nano)
	for i, v := range verdicts {
		c.counts[v.Outcome]++
		h.Metrics.Verdict(v.Outcome.String(), namespaces[i])
		if v.Outcome == verification.Undetermined {
			open = append(open, fmt.Sprintf("%s: %s", c.keys[i], shorten(fmt.Sprint(v.Err))))
			h.Log.Warn("undetermined", "trace_id", c.traceID, "image", c.keys[i], "error", v.Err)
			continue
		}
		if v.Outcome == verification.Refused {
			h.Log.Info("refused", "trace_id", c.traceID, "image", shorten(c.keys[i]),
				"reports", len(v.Reports), "first", v.Reports[:min(len(v.Reports), maxNamed)])
		}
		body.Items = append(body.Items, item{Key: c.keys[i], Value: result{
			Version:         resultVersion(v.PolicyType),
			IsSuccess:       v.Outcome == verification.Verified,
			TraceID:         c.traceID,
			Timestamp:       now,
			VerifierReports: v.Reports,
		}})
	}
	if len(open) > 0 {
		h.Metrics.SystemError(verification.Undetermined.String())
		body.SystemError = systemError(open, len(c.keys), c.traceID)
	}
	return body
}

func (h *handler) mutate(ctx context.Context, c *call) responseBody {
	session := h.begin()
	ctx, cancel := context.WithTimeout(ctx, session.MutateTimeout())
	defer cancel()
	body := responseBody{Items: make([]item, len(c.keys))}
	forEach(c.keys, func(i int, key string) {
		namespace, image, err := verification.ParseKey(key)
		pinned := image
		if err == nil {
			pinned, err = session.Resolve(ctx, namespace, image)
		}
		body.Items[i] = item{Key: key, Value: pinned}
		if err != nil {
			body.Items[i] = item{Key: key, Value: key, Error: fmt.Sprintf("%s (trace id %s)", shorten(fmt.Sprint(err)), c.traceID)}
			h.Log.Warn("not mutated", "trace_id", c.traceID, "image", shorten(key), "error", err)
		}
	})
	return body
}

// forEach runs do for all keys, maxAtOnce at a time, and waits for them. A panic is raised again in the caller, with its place.
func forEach(keys []string, do func(i int, key string)) {
	var group errgroup.Group
	group.SetLimit(maxAtOnce)
	panics := make(chan string, len(keys))
	for i, key := range keys {
		group.Go(func() error {
			defer func() {
				if p := recover(); p != nil {
					panics <- fmt.Sprintf("%v\n%s", p, debug.Stack())
				}
			}()
			do(i, key)
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

// shorten cuts a text at maxCauseBytes.
func shorten(text string) string {
	if len(text) <= maxCauseBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxCauseBytes], "") + "…"
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
