package cosign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// A signature with a bundle is verified without asking anybody.
func TestBundle(t *testing.T) {
	key, stranger := newKey(t), newKey(t)
	log, otherLog := must(signing.NewCosignLog())(t), must(signing.NewCosignLog())(t)
	trustLog(t, log)
	rekor := newRekor(t, entries(t))
	good := sign(t, key)
	now := time.Now()
	bundle := must(log.Bundle(good, now))(t)
	change := func(edit func(payload map[string]any)) signing.CosignSignature {
		var fields map[string]any
		if err := json.Unmarshal([]byte(bundle), &fields); err != nil {
			t.Fatal(err)
		}
		edit(fields["Payload"].(map[string]any))
		return good.With(signing.CosignBundleAnnotation, string(must(json.Marshal(fields))(t)))
	}
	tests := []struct {
		name      string
		signature signing.CosignSignature
		want      string
		reason    string
	}{
		{"good", good.With(signing.CosignBundleAnnotation, bundle), "verified", "the signature's bundle shows that it is in the transparency log"},
		{"of another signature", logged(t, log, sign(t, key), now), "refused", "about another signature"},
		{"of other content", good.With(signing.CosignBundleAnnotation, must(log.Bundle(must(key.SignPayload([]byte("{}")))(t), now))(t)),
			"refused", "about other content"},
		{"of another key", good.With(signing.CosignBundleAnnotation, must(log.Bundle(withSigner(stranger, good), now))(t)), "refused",
			"about another key"},
		{"of another log", logged(t, otherLog, good, now), "refused", "of a log that is not trusted"},
		{"time changed", change(func(p map[string]any) { p["integratedTime"] = 1 }), "refused", "not the log's"},
		{"index changed", change(func(p map[string]any) { p["logIndex"] = 8 }), "refused", "not the log's"},
		{"body is a number", change(func(p map[string]any) { p["body"] = 1 }), "refused", "has no entry"},
		{"body is not base64", change(func(p map[string]any) { p["body"] = "%" }), "refused", "its entry: illegal base64"},
		{"body is not JSON", change(func(p map[string]any) { p["body"] = "AAAA" }), "refused", "its entry: invalid character"},
		{"another kind of entry", change(func(p map[string]any) { p["body"] = "eyJraW5kIjoiZHNzZSJ9" }), "refused", `of kind "dsse"`},
		{"empty", good.With(signing.CosignBundleAnnotation, "{}"), "refused", "has no entry"},
	}
	v := newVerifier(t, withPolicy(withKeys+`,"rekorURL":"`+rekor.url+`"`), key)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.name == "of another signature" { // the bundle of one, the rest of the other
				tt.signature = good.With(signing.CosignBundleAnnotation, tt.signature.Annotations[signing.CosignBundleAnnotation])
			}
			got, reason := outcome(verify(t.Context(), v, newStore(tt.signature)))
			if got != tt.want || !strings.Contains(reason, tt.reason) {
				t.Errorf("%s: %s; want %s: %s", got, reason, tt.want, tt.reason)
			}
		})
	}
	if n := rekor.asked.Load(); n != 0 {
		t.Errorf("the log was asked %d times", n)
	}
}

// withSigner returns a signature as if another key had made it.
func withSigner(key signing.CosignKey, s signing.CosignSignature) signing.CosignSignature {
	other, err := key.SignPayload(s.Payload)
	if err != nil {
		panic(err) // the key is a test's
	}
	other.Annotations = maps.Clone(s.Annotations)
	return other
}

// A signature without a bundle is looked for in the log.
func TestAskTheLog(t *testing.T) {
	key := newKey(t)
	log, otherLog := must(signing.NewCosignLog())(t), must(signing.NewCosignLog())(t)
	trustLog(t, log)
	good, other := sign(t, key), sign(t, key)
	now := time.Now()
	entry := must(log.Entry(good, now))(t)
	edited := func(edit func(map[string]any)) map[string]any {
		var copied map[string]any
		if err := json.Unmarshal(must(json.Marshal(entry))(t), &copied); err != nil {
			t.Fatal(err)
		}
		for id := range copied {
			edit(copied[id].(map[string]any))
		}
		return copied
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
	}
	tests := []struct {
		name   string
		answer http.HandlerFunc
		want   string
		reason string
		asked  int32
	}{
		{"in it", entries(t, entry), "verified", "the transparency log shows that the signature is in it", 1},
		{"twice in it", entries(t, must(otherLog.Entry(good, now))(t), entry), "verified", "", 1},
		{"not in it", entries(t), "refused", "the signature is not in the transparency log http://127.0.0.1", 1},
		{"down", status(http.StatusServiceUnavailable), "undetermined", "it answered 503 Service Unavailable; make it reachable", 3},
		{"too busy", status(http.StatusTooManyRequests), "undetermined", "429", 3},
		{"no log", status(http.StatusNotFound), "undetermined", "404", 1},
		{"bad request", status(http.StatusBadRequest), "undetermined", "400", 1},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, "undetermined", "302", 1},
		{"null", text("null"), "undetermined", "not a list", 1},
		{"a page", text("<html>"), "undetermined", "cannot be read", 1},
		{"entries without content", text("[{}]"), "undetermined", "without content", 1},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			for _, err := io.WriteString(w, "["); err == nil; _, err = io.WriteString(w, strings.Repeat(" ", 1<<16)) {
			}
		}, "undetermined", "more than 1048576 bytes", 1},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "[")
		}, "undetermined", "unexpected EOF", 3},
		{"lies: another entry", entries(t, must(log.Entry(other, now))(t)), "undetermined", "proves nothing: its entry is about another signature", 1},
		{"lies: of another log", entries(t, must(otherLog.Entry(good, now))(t)), "undetermined", "a log that is not trusted", 1},
		{"lies: another time", entries(t, edited(func(e map[string]any) { e["integratedTime"] = 1 })), "undetermined", "not the log's", 1},
		{"no proof", entries(t, edited(func(e map[string]any) { delete(e, "verification") })), "undetermined", "has no proof", 1},
		{"no inclusion", entries(t, edited(func(e map[string]any) { delete(e["verification"].(map[string]any), "inclusionProof") })),
			"undetermined", "inclusion proof not provided", 1},
		{"wrong inclusion", entries(t, edited(func(e map[string]any) {
			e["verification"].(map[string]any)["inclusionProof"].(map[string]any)["rootHash"] = strings.Repeat("0", 64)
		})), "undetermined", "verifying inclusion proof", 1},
		{"no time", entries(t, edited(func(e map[string]any) { delete(e, "integratedTime") })), "undetermined", "integratedTime", 1},
		{"no log ID", entries(t, edited(func(e map[string]any) { delete(e, "logID") })), "undetermined", "logID", 1},
		{"body is a number", entries(t, edited(func(e map[string]any) { e["body"] = 1 })), "undetermined", "has no entry", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rekor := newRekor(t, tt.answer)
			v := newVerifier(t, withPolicy(withKeys+`,"rekorURL":"`+rekor.url+`"`), key)
			got, reason := outcome(verify(t.Context(), v, newStore(good)))
			if got != tt.want || !strings.Contains(reason, tt.reason) {
				t.Errorf("%s: %s; want %s: %s", got, reason, tt.want, tt.reason)
			}
			if n := rekor.asked.Load(); n != tt.asked {
				t.Errorf("the log was asked %d times, want %d", n, tt.asked)
			}
		})
	}
}

// The log is not asked about what is refused anyway, and not when the policy does without.
func TestDoNotAskTheLog(t *testing.T) {
	key := newKey(t)
	trustLog(t, must(signing.NewCosignLog())(t))
	rekor := newRekor(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	url := `,"rekorURL":"` + rekor.url + `"`
	for name, tt := range map[string]struct {
		members   string
		signature signing.CosignSignature
		want      string
	}{
		"stranger's":     {withKeys + url, sign(t, newKey(t)), "refused"},
		"other image's":  {withKeys + url, must(key.Signature(repository, imageOf("another")))(t), "refused"},
		"without a log":  {withKeys + withoutLog + url, sign(t, key), "verified"},
		"without at all": {withKeys + withoutLog, sign(t, key), "verified"},
	} {
		if got, reason := outcome(verify(t.Context(), newVerifier(t, withPolicy(tt.members), key), newStore(tt.signature))); got != tt.want {
			t.Errorf("%s: %s: %s, want %s", name, got, reason, tt.want)
		}
	}
	if n := rekor.asked.Load(); n != 0 {
		t.Errorf("the log was asked %d times", n)
	}
}

// What verifies counts even if the log cannot be asked about another signature.
func TestOneVerifiesAndTheLogIsDown(t *testing.T) {
	key := newKey(t)
	log := must(signing.NewCosignLog())(t)
	trustLog(t, log)
	rekor := newRekor(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	v := newVerifier(t, withPolicy(withKeys+`,"rekorURL":"`+rekor.url+`"`), key)
	result, err := verify(t.Context(), v, newStore(sign(t, key), logged(t, log, sign(t, key), time.Now())))
	if got, reason := outcome(result, err); got != "verified" {
		t.Fatalf("%s: %s", got, reason)
	}
	first := result.Extensions.(Extensions).Signatures[0].Verifications[0]
	if first.IsSuccess || !strings.HasPrefix(first.Error, "could not be verified: transparency log") {
		t.Errorf("the first signature: %+v", first)
	}
}

// hangs never answers.
type hangs struct{}

func (hangs) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, context.Cause(r.Context())
}

// A log that hangs costs its time-out, and one that is asked by somebody in a hurry not even that.
func TestLogHangs(t *testing.T) {
	key := newKey(t)
	trustLog(t, must(signing.NewCosignLog())(t))
	held := providers{"keys": holding(key.Public())}
	v := must(New(t.Context(), parse(t, withPolicy(withKeys)), Options{Keys: held.keys, Transport: hangs{}, Log: quiet()}))(t)
	for _, wait := range []time.Duration{time.Hour, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			_, err := verify(ctx, v, newStore(sign(t, key)))
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != min(wait, logTimeout) {
				t.Errorf("%v after %s", err, time.Since(start))
			}
		})
	}
}

// A log that hangs until the time is up does not undo what verified before.
func TestOneVerifiesAndTheTimeIsUp(t *testing.T) {
	key := newKey(t)
	log := must(signing.NewCosignLog())(t)
	trustLog(t, log)
	held := providers{"keys": holding(key.Public())}
	v := must(New(t.Context(), parse(t, withPolicy(withKeys)), Options{Keys: held.keys, Transport: hangs{}, Log: quiet()}))(t)
	store := newStore(logged(t, log, sign(t, key), time.Now()), sign(t, key), sign(t, key))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		result, err := verify(ctx, v, store)
		if got, reason := outcome(result, err); got != "verified" {
			t.Fatalf("%s: %s", got, reason)
		}
		if reports := result.Extensions.(Extensions).Signatures; len(reports) != 3 || reports[2].Verifications[0].Error == "" {
			t.Errorf("%+v", reports)
		}
	})
}

// The client sends what Rekor's API describes.
func TestQuery(t *testing.T) {
	key := newKey(t)
	trustLog(t, must(signing.NewCosignLog())(t))
	signature := sign(t, key)
	queries := make(chan string, 1)
	rekor := newRekor(t, func(w http.ResponseWriter, r *http.Request) {
		query, err := io.ReadAll(r.Body)
		queries <- fmt.Sprint(string(query), err)
		_, _ = io.WriteString(w, "[]")
	})
	v := newVerifier(t, withPolicy(withKeys+`,"rekorURL":"`+rekor.url+`/"`), key)
	if got, reason := outcome(verify(t.Context(), v, newStore(signature))); got != "refused" {
		t.Fatalf("%s: %s", got, reason)
	}
	query := <-queries
	for _, part := range []string{`{"entries":[{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"`,
		`"signature":{"content":"` + signature.Annotations[signing.CosignSignatureAnnotation] + `","publicKey":{"content":"LS0tLS1CRUdJTi`} {
		if !strings.Contains(query, part) {
			t.Errorf("the query %s lacks %s", query, part)
		}
	}
}
