package gatekeeper

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

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
