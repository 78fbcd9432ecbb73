package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/revocation/result"
	"golang.org/x/crypto/ocsp"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func TestAnswersAreRemembered(t *testing.T) {
	for name, revoked := range map[string]bool{"good": false, "revoked": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			leaf, other := w.byOCSP(t), w.byOCSP(t)
			want := result.ResultOK
			if revoked {
				w.responder.Revoke(leaf.Certificate())
				want = result.ResultRevoked
			}
			for range 3 {
				w.expect(t, leaf, want)
			}
			w.expectAsked(t, 1)
			w.expect(t, other, result.ResultOK) // another certificate, another question
			w.expectAsked(t, 2)
			w.clock.Advance(maxAnswerAge)
			w.expect(t, leaf, want)
			w.expectAsked(t, 3)
		})
	}
	t.Run("a revocation is seen after maxAnswerAge", func(t *testing.T) {
		w := newWorld(t, "")
		leaf := w.byOCSP(t)
		w.expect(t, leaf, result.ResultOK)
		w.responder.Revoke(leaf.Certificate())
		w.clock.Advance(maxAnswerAge)
		w.expect(t, leaf, result.ResultRevoked)
	})
	t.Run("no longer than they say", func(t *testing.T) {
		w := newWorld(t, "")
		w.responder.SetLife(time.Minute)
		leaf := w.byOCSP(t)
		w.expect(t, leaf, result.ResultOK)
		w.clock.Advance(time.Minute + time.Second)
		w.expect(t, leaf, result.ResultOK)
		w.expectAsked(t, 2)
		w.clock.Advance(time.Minute + time.Second)
		w.responder.SetFault(down)
		w.expect(t, leaf, result.ResultUnknown, "503")
	})
}

// An answer serves until its nextUpdate when the responder gives none that counts.
func TestAnswerServesWhileThereIsNoOther(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byOCSP(t)
	w.expect(t, leaf, result.ResultOK)
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"down": down, "not an answer": says([]byte("x")), "too large": says(make([]byte, maxAnswerBytes+1)),
		"cut off": func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("x"))
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.clock.Advance(maxAnswerAge)
			w.responder.SetFault(fault)
			before := w.responder.Asked()
			w.expect(t, leaf, result.ResultOK)
			if w.responder.Asked() == before {
				t.Error("the responder was not asked")
			}
		})
	}
	w.clock.Advance(time.Hour)
	w.expect(t, leaf, result.ResultUnknown)
}

// Only what the authority said about the certificate in question is remembered, and only if it settles the matter.
func TestFalseAnswerDoesNotStick(t *testing.T) {
	w := newWorld(t, "")
	leaf, other := w.byOCSP(t), w.byOCSP(t)
	stranger := must(signing.Root("root"))(t)
	delegate := must(w.root.Issue("delegate", signing.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}))(t)
	late := must(w.root.Issue("late", signing.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		Validity: signing.Validity{From: time.Now().AddDate(-1, 0, 0), To: time.Now().Add(-time.Hour)}}))(t)
	about := func(cert *x509.Certificate, status int, issuer, signer signing.Identity, from, until time.Duration) []byte {
		template := ocsp.Response{SerialNumber: cert.SerialNumber, Status: status, ThisUpdate: time.Now().Add(from), NextUpdate: time.Now().Add(until)}
		if signer.Certificate() != issuer.Certificate() {
			template.Certificate = signer.Certificate()
		}
		return must(ocsp.CreateResponse(issuer.Certificate(), signer.Certificate(), template, signer.Key))(t)
	}
	const hour = time.Hour
	tests := map[string]struct {
		answer []byte
		want   result.Result
		words  string
		kept   bool
	}{
		"good":                 {about(leaf.Certificate(), ocsp.Good, w.root, w.root, -hour, hour), result.ResultOK, "", true},
		"of a delegate":        {about(leaf.Certificate(), ocsp.Good, w.root, delegate, -hour, hour), result.ResultOK, "", true},
		"of an expired one":    {about(leaf.Certificate(), ocsp.Good, w.root, late, -hour, hour), result.ResultUnknown, "only", false},
		"of the signer":        {about(leaf.Certificate(), ocsp.Good, w.root, leaf, -hour, hour), result.ResultUnknown, "not for that", false},
		"unknown":              {about(leaf.Certificate(), ocsp.Unknown, w.root, w.root, -hour, hour), result.ResultUnknown, "unknown status", false},
		"a stranger's":         {about(leaf.Certificate(), ocsp.Good, stranger, stranger, -hour, hour), result.ResultUnknown, "signature", false},
		"about another":        {about(other.Certificate(), ocsp.Good, w.root, w.root, -hour, hour), result.ResultUnknown, "no response matching", false},
		"ended":                {about(leaf.Certificate(), ocsp.Good, w.root, w.root, -hour, -time.Minute), result.ResultUnknown, "expired", false},
		"from the future":      {about(leaf.Certificate(), ocsp.Good, w.root, w.root, hour/2, hour), result.ResultOK, "", false},
		"tells to try later":   {ocsp.TryLaterErrorResponse, result.ResultUnknown, "try later", false},
		"tells of a web page":  {[]byte("<html>"), result.ResultUnknown, "", false},
		"is larger than it is": {make([]byte, maxAnswerBytes+1), result.ResultUnknown, "larger than", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w.restart(t, "")
			w.responder.SetFault(says(tt.answer))
			w.expect(t, leaf, tt.want, tt.words)
			before := w.responder.Asked()
			w.responder.SetFault(nil)
			w.expect(t, leaf, result.ResultOK)
			if kept := w.responder.Asked() == before; kept != tt.kept {
				t.Errorf("the answer was kept: %t", kept)
			}
		})
	}
}

// An answer serves no longer than whoever signed it may sign answers.
func TestAnswerEndsWithTheDelegate(t *testing.T) {
	w := newWorld(t, "")
	leaf, now := w.byOCSP(t), time.Now()
	delegate := must(w.root.Issue("delegate", signing.Options{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		Validity: signing.Validity{From: now.Add(-time.Hour), To: now.Add(time.Minute)}}))(t)
	answer := ocsp.Response{SerialNumber: leaf.Certificate().SerialNumber, Certificate: delegate.Certificate(), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour)}
	w.responder.SetFault(says(must(ocsp.CreateResponse(w.root.Certificate(), delegate.Certificate(), answer, delegate.Key))(t)))
	w.expect(t, leaf, result.ResultOK)
	w.responder.SetFault(down)
	w.expect(t, leaf, result.ResultOK)
	w.clock.Advance(2 * time.Minute)
	w.expect(t, leaf, result.ResultUnknown, "503")
}

// A responder that hangs leaves time for the revocation list, and both for the verdict.
func TestHangingResponderLeavesTime(t *testing.T) {
	for name, tt := range map[string]struct {
		part  string
		want  result.Result
		words string
	}{
		"OCSP":          {"/ocsp", result.ResultOK, ""},
		"OCSP and list": {"/", result.ResultUnknown, "no answer within"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "")
			release := make(chan struct{})
			t.Cleanup(func() { close(release) })
			w.responder.SetFault(func(_ http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, tt.part) {
					<-release
				}
				return false
			})
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			w.expectIn(ctx, t, w.both(t), tt.want, tt.words)
			if ctx.Err() != nil {
				t.Error("no time is left for the verdict")
			}
		})
	}
}

// TestPost asks as notation-core-go does when the question is too long for an address.
func TestPost(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byOCSP(t)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	a := must(newAnswers(transport, time.Now))(t)
	question := must(ocsp.CreateRequest(leaf.Certificate(), w.root.Certificate(), nil))(t)
	for range 2 {
		ctx := withInquiry(t.Context(), &inquiry{chain: leaf.Chain})
		r := must(http.NewRequestWithContext(ctx, http.MethodPost, w.responder.OCSP(), bytes.NewReader(question)))(t)
		response := must(a.RoundTrip(r))(t)
		body := must(io.ReadAll(response.Body))(t)
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		if parsed, err := ocsp.ParseResponseForCert(body, leaf.Certificate(), w.root.Certificate()); err != nil || parsed.Status != ocsp.Good {
			t.Errorf("%+v, %v", parsed, err)
		}
	}
	w.expectAsked(t, 1)
}

// A question may be sent on to another address; who may answer is the same there.
func TestAnswerFromElsewhere(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byOCSP(t)
	about := func(signer signing.Identity) []byte {
		template := ocsp.Response{SerialNumber: leaf.Certificate().SerialNumber, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
		if signer.Certificate() != w.root.Certificate() {
			template.Certificate = signer.Certificate()
		}
		return must(ocsp.CreateResponse(w.root.Certificate(), signer.Certificate(), template, signer.Key))(t)
	}
	for name, tt := range map[string]struct {
		signer signing.Identity
		want   result.Result
		words  string
	}{
		"of the authority": {w.root, result.ResultOK, ""},
		"of the signer":    {leaf, result.ResultUnknown, "not for that"},
	} {
		t.Run(name, func(t *testing.T) {
			w.restart(t, "")
			answer := about(tt.signer)
			w.responder.SetFault(func(rw http.ResponseWriter, r *http.Request) bool {
				if strings.HasPrefix(r.URL.Path, "/ocsp") {
					http.Redirect(rw, r, "/elsewhere", http.StatusFound)
					return true
				}
				return says(answer)(rw, r)
			})
			w.expect(t, leaf, tt.want, tt.words)
		})
	}
}

// What a responder says last counts even if it is not kept: it does not fall back to its older answer when it is silent after that.
func TestNewerAnswerEndsOlder(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		made   time.Duration // from now
		want   result.Result
	}{
		"unknown":                     {ocsp.Unknown, -time.Minute, result.ResultUnknown},
		"revoked, by a clock far off": {ocsp.Revoked, 2 * clockSkew, result.ResultRevoked},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			leaf := w.byOCSP(t)
			w.expect(t, leaf, result.ResultOK)
			w.responder.SetFault(says(must(ocsp.CreateResponse(w.root.Certificate(), w.root.Certificate(), ocsp.Response{SerialNumber: leaf.Certificate().SerialNumber,
				Status: tt.status, ThisUpdate: w.clock.Now().Add(maxAnswerAge + tt.made), NextUpdate: time.Now().Add(time.Hour)}, w.root.Key))(t)))
			w.clock.Advance(maxAnswerAge)
			w.expect(t, leaf, tt.want)
			w.responder.SetFault(down)
			w.expect(t, leaf, result.ResultUnknown)
			w.expectGood(t, leaf, false)
		})
	}
}

// What was said before the answer that is held, and is put into the responder's place, changes nothing.
func TestOlderAnswerDoesNotReplaceNewer(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byOCSP(t)
	older := func(status int) []byte {
		return must(ocsp.CreateResponse(w.root.Certificate(), w.root.Certificate(), ocsp.Response{SerialNumber: leaf.Certificate().SerialNumber,
			Status: status, ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: time.Now().Add(24 * time.Hour)}, w.root.Key))(t)
	}
	w.responder.Revoke(leaf.Certificate())
	w.expect(t, leaf, result.ResultRevoked)
	for name, answer := range map[string][]byte{"good": older(ocsp.Good), "unknown": older(ocsp.Unknown)} {
		t.Run(name, func(t *testing.T) {
			w.responder.SetFault(says(answer))
			w.clock.Advance(maxAnswerAge)
			before := w.responder.Asked()
			for range 2 {
				w.expect(t, leaf, result.ResultRevoked)
			}
			if got := w.responder.Asked() - before; got != 1 {
				t.Errorf("the responder was asked %d times, want once", got)
			}
		})
	}
}

// A responder that is down for hours is not waited for by each admission.
func TestResponderThatIsDownIsLeftAlone(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byOCSP(t)
	w.expect(t, leaf, result.ResultOK)
	w.responder.SetFault(down)
	w.clock.Advance(maxAnswerAge)
	for range 3 {
		w.expect(t, leaf, result.ResultOK)
	}
	w.expectAsked(t, 2)
	w.responder.SetFault(nil)
	w.responder.Revoke(leaf.Certificate())
	w.clock.Advance(retryAfter)
	w.expect(t, leaf, result.ResultRevoked)
}
