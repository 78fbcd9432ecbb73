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
	"reflect"
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
	case strings.HasPrefix(image, "slow"):
		<-ctx.Done()
		return verification.Verdict{Err: ctx.Err()}
	case strings.HasPrefix(image, "long"):
		return verification.Verdict{Err: errors.New(strings.Repeat("é", maxCauseBytes))}
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
func TestLogOfARefusalIsShort(t *testing.T) {
	var log bytes.Buffer
	s := httptest.NewServer(NewHandler(begin, HandlerOptions{Metrics: metrics.New(), Log: slog.New(slog.NewTextHandler(&log, nil))}))
	ask(t, s, "/verify", "bad:many", strings.Repeat("a", 100_000))
	s.Close()
	if n := strings.Count(log.String(), "a bad signature"); n != maxNamed || log.Len() > 20_000 {
		t.Errorf("%d reports, %d bytes", n, log.Len())
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

func TestBadRequests(t *testing.T) {
	s := newTestServer(t)
	many := `{"request":{"keys":["` + strings.Repeat(`a","`, maxKeys) + `b"]}}`
	for name, tt := range map[string]struct{ body, want string }{
		"empty":      {"", "not a ProviderRequest"},
		"no JSON":    {"nope", "not a ProviderRequest"},
		"wrong type": {`{"request":{"keys":"a"}}`, "not a ProviderRequest"},
		"trailing":   {`{} {}`, "after top-level value"},
		"version":    {`{"apiVersion":"externaldata.gatekeeper.sh/v9"}`, `"externaldata.gatekeeper.sh/v9" is not supported`},
		"kind":       {`{"kind":"Pod"}`, `kind "Pod"`},
		"many keys":  {many, "request.keys has 1001 entries"},
		"large":      {`{"request":{"keys":["` + strings.Repeat("a", maxRequestBytes) + `"]}}`, "larger than"},
	} {
		status, answer := post(t, s, "/verify", tt.body)
		if status != http.StatusBadRequest || len(answer.Response.Items) != 0 || !strings.Contains(answer.Response.SystemError, tt.want) {
			t.Errorf("%s: status %d, %+v; want 400 with %q", name, status, answer.Response, tt.want)
		}
	}
	res, err := s.Client().Get(s.URL + root + "/verify")
	if err != nil {
		t.Fatal(err)
	}
	if _ = res.Body.Close(); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", res.Status)
	}
}

func TestAnswersInTheVersionAsked(t *testing.T) {
	_, answer := post(t, newTestServer(t), "/verify", `{"apiVersion":"externaldata.gatekeeper.sh/v1alpha1","kind":"ProviderRequest","request":{"keys":["good:1"]}}`)
	if answer.APIVersion != "externaldata.gatekeeper.sh/v1alpha1" {
		t.Errorf("%+v", answer)
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add(`{"apiVersion":"externaldata.gatekeeper.sh/v1beta1","kind":"ProviderRequest","request":{"keys":["a","a","[n]b"]}}`)
	f.Add(`{"request":null}`)
	f.Add(usualBegin + "docker.io/library/nginx:1" + usualEnd)
	f.Add(usualBegin + `a","b` + usualEnd)
	f.Add(usualBegin + "\\u0061\u00e9\xff" + usualEnd)
	f.Add(usualBegin + usualEnd + usualEnd)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, body string) {
		req, err := readRequest(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
		if !strings.HasPrefix(req.APIVersion, apiGroup) {
			t.Errorf("answer would have apiVersion %q", req.APIVersion)
		}
		if err == nil && len(req.Request.Keys) > maxKeys {
			t.Errorf("%d keys", len(req.Request.Keys))
		}
		var usual, general request
		if usual.unmarshalUsual([]byte(body)) {
			if err := json.Unmarshal([]byte(body), &general); err != nil || !reflect.DeepEqual(usual, general) {
				t.Errorf("%q is %+v, in general %+v %v", body, usual, general, err)
			}
		}
	})
}

func TestGatekeepersRequestIsTheUsual(t *testing.T) {
	for key, want := range map[string]bool{"docker.io/library/nginx:1": true, "[team]nginx": true, `"`: false, "é": false, "<": false} {
		body, err := json.Marshal(externaldata.NewProviderRequest([]string{key}))
		if err != nil {
			t.Fatal(err)
		}
		var req request
		if usual := req.unmarshalUsual(body); usual != want || usual && req.Request.Keys[0] != key {
			t.Errorf("%s: %t %+v", body, usual, req)
		}
	}
}

// An answer is read as it was meant, whatever is in it.
func TestResponseIsWhatGatekeeperReads(t *testing.T) {
	verified := verification.Verdict{Outcome: verification.Verified, PolicyType: "configpolicy",
		Reports: []json.RawMessage{json.RawMessage(`{"a":1}`), json.RawMessage(`{"b":"<"}`)}}
	refused := verification.Verdict{Outcome: verification.Refused, PolicyType: "regopolicy"}
	strange := "quote \" backslash \\ newline \n nul \x00 é < \u2028"
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	res := response{apiVersion: defaultVersion, traceID: strange, now: now, systemError: strange, items: []item{
		{key: strange, verdict: &verified}, {key: "b", verdict: &refused}, {key: "c", image: strange}, {key: "d", image: "d", err: strange},
	}}
	var got externaldata.ProviderResponse
	if err := json.Unmarshal(res.json(), &got); err != nil {
		t.Fatalf("%v: %s", err, res.json())
	}
	want := externaldata.ProviderResponse{APIVersion: defaultVersion, Kind: "ProviderResponse", Response: externaldata.Response{
		SystemError: strange,
		Items: []externaldata.Item{
			{Key: strange, Value: map[string]any{"version": "0.2.0", "isSuccess": true, "traceID": strange, "timestamp": "2026-01-02T03:04:05.000006Z",
				"verifierReports": []any{map[string]any{"a": 1.0}, map[string]any{"b": "<"}}}},
			{Key: "b", Value: map[string]any{"version": "1.1.0", "isSuccess": false, "traceID": strange, "timestamp": "2026-01-02T03:04:05.000006Z"}},
			{Key: "c", Value: strange},
			{Key: "d", Value: "d", Error: strange},
		},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
	res = response{apiVersion: defaultVersion, idempotent: true}
	if got := string(res.json()); got != `{"apiVersion":"`+defaultVersion+`","kind":"ProviderResponse","response":{"idempotent":true}}`+"\n" {
		t.Error(got)
	}
}

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
