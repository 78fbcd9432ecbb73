package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// When the time runs out for one image, the others are answered all the same, and the retry asks for just that one.
func TestPartialAnswer(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	signed := push(t, w, scenario.Demo, "partial/signed", scenario.SignedJWS)
	unsigned := push(t, w, scenario.Legacy, "partial/unsigned", scenario.Unsigned)
	stuck := push(t, w, scenario.Standby, "partial/stuck", scenario.SignedCOSE)
	p := startInProcess(t, w, serveOptions{cacheEnabled: true, cacheTTL: time.Minute}, w.Config(func(c map[string]any) {
		c["executor"] = map[string]any{"verificationRequestTimeout": int(faultBudget / time.Millisecond)}
	}))
	registry := w.Cloud.Endpoint(scenario.Standby.Host)
	registry.SetFault(emulator.Fault{Hang: true})
	a := p.ask(signed, unsigned, "[team]"+signed, stuck)
	if len(a.Verdicts) != 3 || !a.Verdicts[signed] || a.Verdicts[unsigned] || !a.Verdicts["[team]"+signed] {
		t.Errorf("%+v", a)
	}
	if !strings.Contains(a.SystemError, "1 of 4 images") || !strings.Contains(a.SystemError, "while waiting for an answer of "+scenario.Standby.Host) {
		t.Errorf("the error does not tell what was not answered: %s", a.SystemError)
	}
	if a.Took > faultBudget+slack {
		t.Errorf("the answer took %s of %s", a.Took, faultBudget)
	}
	registry.SetFault(emulator.Fault{})
	if a := p.ask(stuck); !a.Verdicts[stuck] {
		t.Errorf("the retry: %+v", a)
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestMutateKeepsTheTag(t *testing.T) {
	w := newWorld(t, emulator.Options{})
	pinned := push(t, w, scenario.Demo, "mutate/app", scenario.SignedJWS)
	repository, digest, _ := strings.Cut(pinned, "@")
	p := startInProcess(t, w, serveOptions{}, w.Config(nil))
	want := map[string]string{
		repository + ":v1":   repository + ":v1@" + digest,
		pinned:               pinned,
		repository + ":gone": "", // an error
	}
	keys := make([]string, 0, len(want))
	for key := range want {
		keys = append(keys, key)
	}
	body, err := json.Marshal(map[string]any{"apiVersion": "externaldata.gatekeeper.sh/v1beta1", "request": map[string]any{"keys": keys}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(p.url+"/ratify/gatekeeper/v1/mutate", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var got struct {
		Response struct {
			Idempotent  bool
			SystemError string
			Items       []struct{ Key, Value, Error string }
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if !got.Response.Idempotent || got.Response.SystemError != "" || len(got.Response.Items) != len(want) {
		t.Fatalf("%+v", got)
	}
	for _, item := range got.Response.Items {
		switch value := want[item.Key]; {
		case value == "" && (item.Error == "" || !strings.Contains(item.Error, "not found")):
			t.Errorf("%s: error %q", item.Key, item.Error)
		case value != "" && (item.Value != value || item.Error != ""):
			t.Errorf("%s became %s (%s), want %s", item.Key, item.Value, item.Error, value)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
