package gatekeeper

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// largeReport is a little more than a third of what an answer may have.
var largeReport = json.RawMessage(`{"message":"` + strings.Repeat("\u00e9", maxReportBytes/6) + `"}`)

// byName answers by the name of the image.
type byName struct{}

func begin() Session { return byName{} }

func (byName) VerifyTimeout() time.Duration { return 50 * time.Millisecond }
func (byName) MutateTimeout() time.Duration { return 50 * time.Millisecond }

// Known knows images that end in :known.
func (n byName) Known(namespace, image string) (verification.Verdict, bool) {
	if !strings.HasSuffix(image, ":known") {
		return verification.Verdict{}, false
	}
	return n.Verify(context.Background(), namespace, image), true
}

func (byName) Verify(ctx context.Context, namespace, image string) verification.Verdict {
	switch {
	case strings.HasPrefix(image, "good"):
		return verification.Verdict{Outcome: verification.Verified, PolicyType: "configpolicy", Reports: []json.RawMessage{json.RawMessage(`{"isSuccess":true,"verifierName":"` + namespace + `"}`)}}
	case strings.HasPrefix(image, "rego"):
		return verification.Verdict{Outcome: verification.Verified, PolicyType: "regopolicy"}
	case strings.HasPrefix(image, "bad"):
		return verification.Verdict{Outcome: verification.Refused, PolicyType: "configpolicy", Reports: slices.Repeat([]json.RawMessage{json.RawMessage(`{"message":"a bad signature"}`)}, 500)}
	case strings.HasPrefix(image, "large"):
		return verification.Verdict{Outcome: verification.Refused, PolicyType: "configpolicy", Reports: []json.RawMessage{largeReport}}
	case strings.HasPrefix(image, "slow"):
		<-ctx.Done()
		return verification.Verdict{Err: ctx.Err()}
	case strings.HasPrefix(image, "long"):
		return verification.Verdict{Err: errors.New(strings.Repeat("é", 10*maxLoggedBytes))}
	case image == "panic":
		panic("boom")
	}
	return verification.Verdict{Err: errors.New("STS is down; check the network")}
}

func (byName) Resolve(_ context.Context, _, image string) (string, error) {
	if strings.HasPrefix(image, "good") {
		return image + "@sha256:1", nil
	}
	return "", errors.New("registry is down")
}

func newTestServer(t *testing.T) *httptest.Server {
	t.Helper()
	h := NewHandler(begin, HandlerOptions{Metrics: metrics.New(), Log: slog.New(slog.DiscardHandler), TraceIDHeaders: []string{"X-Trace"}})
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// ask asks as Gatekeeper does, with Gatekeeper's own types.
func ask(t *testing.T, s *httptest.Server, path string, keys ...string) externaldata.ProviderResponse {
	t.Helper()
	body, err := json.Marshal(externaldata.NewProviderRequest(keys))
	if err != nil {
		t.Fatal(err)
	}
	status, answer := post(t, s, path, string(body))
	if status != http.StatusOK {
		t.Fatalf("status %d: %+v", status, answer)
	}
	return answer
}

func post(t *testing.T, s *httptest.Server, path, body string) (int, externaldata.ProviderResponse) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+root+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Trace", "trace-7")
	res, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer externaldata.ProviderResponse
	if err := json.Unmarshal(content, &answer); err != nil {
		t.Fatalf("%v: %s", err, content)
	}
	return res.StatusCode, answer
}

func TestVerifySettledAndOpen(t *testing.T) {
	s := newTestServer(t)
	answer := ask(t, s, "/verify", "good:1", "[team]good:2", "bad:1", "down:1", "good:1", "slow:1", "[broken")
	if answer.APIVersion != "externaldata.gatekeeper.sh/v1beta1" || answer.Kind != "ProviderResponse" || answer.Response.Idempotent {
		t.Errorf("envelope %+v", answer)
	}
	got := map[string]bool{}
	for _, item := range answer.Response.Items {
		if item.Error != "" {
			t.Errorf("item %s has an error, which Gatekeeper would keep: %s", item.Key, item.Error)
		}
		value := item.Value.(map[string]any)
		got[item.Key] = value["isSuccess"].(bool) // always there, else this panics
		if value["version"] != "0.2.0" || value["traceID"] != "trace-7" || value["timestamp"] == "" {
			t.Errorf("value %v", value)
		}
	}
	want := map[string]bool{"good:1": true, "[team]good:2": true, "bad:1": false, "[broken": false}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(answer.Response.Items) != len(want) {
		t.Errorf("items %v, want %v", got, want)
	}
	for _, part := range []string{"2 of 6 images", "down:1: STS is down; check the network", "slow:1", "trace-7"} {
		if !strings.Contains(answer.Response.SystemError, part) {
			t.Errorf("systemError lacks %q: %s", part, answer.Response.SystemError)
		}
	}
}

func TestVerifyNamesOnlySomeOfMany(t *testing.T) {
	var keys []string
	for i := range maxNamed + 5 {
		keys = append(keys, fmt.Sprintf("down:%d", i))
	}
	answer := ask(t, newTestServer(t), "/verify", keys...)
	if !strings.HasSuffix(answer.Response.SystemError, "; and 5 more (trace id trace-7)") || len(answer.Response.Items) != 0 {
		t.Errorf("%+v", answer.Response)
	}
}

func TestVerifyRegoVersion(t *testing.T) {
	answer := ask(t, newTestServer(t), "/verify", "rego:1")
	if value := answer.Response.Items[0].Value.(map[string]any); value["version"] != "1.1.0" || value["isSuccess"] != true {
		t.Errorf("%v", value)
	}
}

func TestPanicIsNoVerdict(t *testing.T) {
	answer := ask(t, newTestServer(t), "/verify", "good:1", "panic")
	if len(answer.Response.Items) != 0 || !strings.Contains(answer.Response.SystemError, "trace-7") {
		t.Errorf("%+v", answer.Response)
	}
}

func TestPanicIsLoggedWithItsPlace(t *testing.T) {
	var log bytes.Buffer
	s := httptest.NewServer(NewHandler(begin, HandlerOptions{Metrics: metrics.New(), Log: slog.New(slog.NewTextHandler(&log, nil))}))
	ask(t, s, "/verify", "panic")
	s.Close()
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "byName.Verify") {
		t.Errorf("log: %s", &log)
	}
}

// Who makes images decides how many signatures they have, and how long the names are that a pod asks for.
func TestLogIsShort(t *testing.T) {
	var log bytes.Buffer
	s := httptest.NewServer(NewHandler(begin, HandlerOptions{Metrics: metrics.New(), Log: slog.New(slog.NewTextHandler(&log, nil))}))
	ask(t, s, "/verify", "bad:many", "large:1", "long:1", strings.Repeat("a", 100_000))
	s.Close()
	if n := strings.Count(log.String(), "a bad signature"); n != maxNamed || log.Len() > 20_000 || !strings.Contains(log.String(), "ééé") {
		t.Errorf("%d reports, %d bytes", n, log.Len())
	}
}

// One image under many names, known or not, does not make an answer that takes all the memory there is.
func TestAnswerIsBounded(t *testing.T) {
	var keys []string
	for i := range 20 {
		keys = append(keys, fmt.Sprintf("large:%d", i), fmt.Sprintf("large:%d:known", i), fmt.Sprintf("rego:%d", i))
	}
	answer := ask(t, newTestServer(t), "/verify", keys...)
	large := 0
	for _, item := range answer.Response.Items {
		if strings.HasPrefix(item.Key, "large") {
			large++
		}
	}
	if large != 3 || len(answer.Response.Items) != 20+large {
		t.Errorf("%d of %d items are large, want 3", large, len(answer.Response.Items))
	}
	for _, part := range []string{"37 of 60 images", "fill the answer"} {
		if !strings.Contains(answer.Response.SystemError, part) {
			t.Errorf("systemError lacks %q: %s", part, answer.Response.SystemError)
		}
	}
}

// crowded is an engine that knows how many of its images were asked about at once.
type crowded struct {
	byName
	now, most, all atomic.Int32
}

func (c *crowded) Verify(ctx context.Context, namespace, image string) verification.Verdict {
	n := c.now.Add(1)
	defer c.now.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	c.all.Add(1)
	<-time.After(time.Millisecond) // so that they overlap
	return c.byName.Verify(ctx, namespace, image)
}

func TestOneRequestDoesNotTakeAllThereIs(t *testing.T) {
	c := &crowded{}
	s := httptest.NewServer(NewHandler(func() Session { return c }, HandlerOptions{Metrics: metrics.New(), Log: discard}))
	defer s.Close()
	keys := make([]string, maxKeys)
	for i := range keys {
		keys[i] = fmt.Sprintf("good:%d", i)
	}
	if answer := ask(t, s, "/verify", keys...); len(answer.Response.Items) != maxKeys || c.all.Load() != maxKeys {
		t.Errorf("%d items, %d images", len(answer.Response.Items), c.all.Load())
	}
	if most := c.most.Load(); most > maxAtOnce {
		t.Errorf("%d images at once, more than %d", most, maxAtOnce)
	}
}

func TestSystemErrorIsShort(t *testing.T) {
	answer := ask(t, newTestServer(t), "/verify", "long:1")
	if n := len(answer.Response.SystemError); n > 2*maxCauseBytes || !strings.Contains(answer.Response.SystemError, "long:1: é") || !utf8.ValidString(answer.Response.SystemError) ||
		strings.Contains(answer.Response.SystemError, "\ufffd") {
		t.Errorf("%d bytes: %s", n, answer.Response.SystemError)
	}
}

func TestMutate(t *testing.T) {
	answer := ask(t, newTestServer(t), "/mutate", "good:1", "down:1")
	if !answer.Response.Idempotent || answer.Response.SystemError != "" || len(answer.Response.Items) != 2 {
		t.Fatalf("%+v", answer.Response)
	}
	if item := answer.Response.Items[0]; item.Value != "good:1@sha256:1" || item.Error != "" {
		t.Errorf("%+v", item)
	}
	if item := answer.Response.Items[1]; item.Value != "down:1" || !strings.Contains(item.Error, "registry is down") {
		t.Errorf("%+v", item)
	}
}

// An answer is read as it was meant, whatever is in it.
// What is known is answered at once, even if the time is over; with what is not known beside it.
func TestKnownAndUnknown(t *testing.T) {
	answer := ask(t, newTestServer(t), "/verify", "good:known", "slow:1", "bad:known", "good:2")
	var keys []string
	for _, item := range answer.Response.Items {
		keys = append(keys, item.Key)
	}
	if !slices.Equal(keys, []string{"good:known", "bad:known", "good:2"}) || !strings.Contains(answer.Response.SystemError, "slow:1") {
		t.Errorf("%q, %s", keys, answer.Response.SystemError)
	}
}

// A line of the log a request is of no use as long as all is well.
func TestLogTellsOfWhatIsNotVerified(t *testing.T) {
	for key, want := range map[string]string{
		"good:1": "", "good:known": "",
		"bad:1":  `msg=verify trace_id=trace-7 status=200 images=1 verified=0 refused=1 undetermined=0`,
		"down:1": `msg=verify trace_id=trace-7 status=200 images=1 verified=0 refused=0 undetermined=1`,
	} {
		var log bytes.Buffer
		s := httptest.NewServer(NewHandler(begin, HandlerOptions{Metrics: metrics.New(), Log: slog.New(slog.NewTextHandler(&log, nil)), TraceIDHeaders: []string{"X-Trace"}}))
		ask(t, s, "/verify", key)
		s.Close()
		if text := log.String(); want == "" && text != "" || !strings.Contains(text, want) {
			t.Errorf("%s: %s", key, text)
		}
	}
}

func TestAnswerHasALength(t *testing.T) {
	s := newTestServer(t)
	res, err := s.Client().Post(s.URL+root+"/verify", "application/json", strings.NewReader(usualBegin+"bad:1"+usualEnd))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if content, err := io.ReadAll(res.Body); err != nil || res.ContentLength != int64(len(content)) || len(content) < 10_000 {
		t.Errorf("length %d, %d bytes, %v", res.ContentLength, len(content), err)
	}
}
