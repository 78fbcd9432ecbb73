package revocation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/crypto/ocsp"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

const (
	// maxAnswers and maxAnswerBytes keep the memory below 20 MiB. Answers have 1 to 4 KiB; notation-core-go reads no more than 20 KiB.
	maxAnswers     = 1024
	maxAnswerBytes = 20 << 10

	// maxAnswerAge is how long an answer is used without asking again. Responders say that answers are good for days, but know of a
	// revocation at once.
	maxAnswerAge = 5 * time.Minute
)

// answers is the transport of OCSP questions. It remembers what responders said about a certificate, asks again after maxAnswerAge, and goes by
// the old answer until its nextUpdate when they do not answer, or with an older one.
type answers struct {
	next  http.RoundTripper
	calls *flight.Group[answer]
	now   func() time.Time

	mu      sync.Mutex // held where what is kept is looked at and replaced
	kept    *lru.Cache[string, answer]
	version uint64 // of what was kept last
}

// answer is an HTTP response that was read.
type answer struct {
	status   int
	location string // where the question is sent on to
	body     []byte
	signed   bool      // by the authority or on its behalf, and about the certificate in question
	made     time.Time // thisUpdate
	askAgain time.Time // zero for what is not kept
	ends     time.Time // nextUpdate
	version  uint64    // of what is kept, different for each answer; 0 for what is not
}

// serves reports whether the answer is to be used at now without asking again.
func (a answer) serves(now time.Time) bool { return now.Before(a.askAgain) && !now.After(a.ends) }

func newAnswers(next http.RoundTripper, now func() time.Time) (*answers, error) {
	kept, err := lru.New[string, answer](maxAnswers)
	if err != nil {
		return nil, err
	}
	return &answers{next: next, calls: flight.New[answer](ocspTimeout), now: now, kept: kept}, nil
}

// RoundTrip implements http.RoundTripper.
func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	var question []byte
	if r.Body != nil {
		defer r.Body.Close()
		var err error
		if question, err = io.ReadAll(r.Body); err != nil { // notation-core-go made it
			return nil, err
		}
	}
	cert, issuer := about(r, question)
	if cert == nil { // a responder may send a POST on as a GET, which has no question
		return nil, fmt.Errorf("%s is not told which certificate the question is about, so that its answer could not be checked", r.URL.Host)
	}
	inquiry := inquiryOf(r.Context())
	inquiry.ask()
	key := answerKey(r, question, cert, issuer)
	held, ok := a.kept.Get(key)
	now := a.now()
	if ok && held.serves(now) {
		inquiry.rely(answerGround{a, key, held.version})
		return held.response(r), nil
	}
	ok = ok && !now.After(held.ends)
	ctx, cancel := withShare(r.Context(), ocspShare, ocspTimeout)
	defer cancel()
	got, err := a.calls.Do(ctx, key, func(ctx context.Context) (answer, error) { return a.ask(ctx, r, question, key, cert, issuer) })
	switch {
	case ok && !got.signed:
		if r.Context().Err() == nil {
			a.postpone(key, held)
		}
		inquiry.rely(answerGround{a, key, held.version})
		return held.response(r), nil
	case err != nil:
		return nil, err
	}
	if got.version != 0 {
		inquiry.rely(answerGround{a, key, got.version})
	}
	return got.response(r), nil
}

// answerKey tells questions apart by all that their answers are checked against. It is a digest, for addresses and certificates are as long as
// their makers like.
func answerKey(r *http.Request, question []byte, cert, issuer *x509.Certificate) string {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(r.Method), []byte(r.URL.String()), question, cert.Raw, issuer.Raw} {
		fmt.Fprintf(h, "%d ", len(part))
		h.Write(part)
	}
	return string(h.Sum(nil))
}

// ask asks the responder, and returns its answer or the newer one that is held.
func (a *answers) ask(ctx context.Context, r *http.Request, question []byte, key string, cert, issuer *x509.Certificate) (answer, error) {
	r = r.Clone(ctx)
	if question != nil {
		r.Body = io.NopCloser(bytes.NewReader(question))
	}
	response, err := a.next.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err != nil {
		return answer{}, err
	}
	if len(body) > maxAnswerBytes {
		return answer{}, fmt.Errorf("the answer is larger than %d bytes", maxAnswerBytes)
	}
	if response.StatusCode != http.StatusOK {
		return answer{status: response.StatusCode, location: response.Header.Get("Location"), body: body}, nil
	}
	got := answer{status: response.StatusCode, body: body}
	parsed, err := ocsp.ParseResponseForCert(body, cert, issuer)
	if err != nil {
		return got, nil // notation-core-go finds the same, and says so
	}
	now := a.now()
	if err := mayAnswer(parsed.Certificate, issuer, now); err != nil {
		return answer{}, err
	}
	if !now.Before(parsed.NextUpdate) {
		return got, nil // notation-core-go refuses it
	}
	got.signed, got.made, got.ends = true, parsed.ThisUpdate, parsed.NextUpdate
	if responder := parsed.Certificate; responder != nil && responder.NotAfter.Before(got.ends) {
		got.ends = responder.NotAfter
	}
	if parsed.Status != ocsp.Unknown && !now.Add(clockSkew).Before(parsed.ThisUpdate) {
		got.askAgain = now.Add(min(maxAnswerAge, got.ends.Sub(now)))
	}
	return a.keep(key, got), nil
}

// keep remembers a signed answer, if it is one to be kept, in place of the one that is held, and returns the one to go by: a newer one that is
// held stays.
func (a *answers) keep(key string, got answer) answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if held, ok := a.kept.Peek(key); ok && got.made.Before(held.made) && now.Before(held.ends) {
		held.askAgain = now.Add(maxAnswerAge)
		got = held
	}
	if got.askAgain.IsZero() { // it is the last word all the same
		a.kept.Remove(key)
		return got
	}
	if got.version == 0 {
		a.version++
		got.version = a.version
	}
	a.kept.Add(key, got)
	return got
}

// postpone leaves a responder that did not answer alone for retryAfter: admissions must not wait for it one after the other.
func (a *answers) postpone(key string, held answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if current, ok := a.kept.Peek(key); ok && current.askAgain.Equal(held.askAgain) { // else it has answered meanwhile
		held.askAgain = a.now().Add(retryAfter)
		a.kept.Add(key, held)
	}
}

// about returns the certificate of the request's chain that the question is about, and its issuer; nil if it is about none. A question that is
// sent on to another address is still the one that was put first.
func about(r *http.Request, question []byte) (cert, issuer *x509.Certificate) {
	first := r
	for first.Response != nil && first.Response.Request != nil {
		first = first.Response.Request
	}
	chain := inquiryOf(r.Context()).chain
	for i := range len(chain) - 1 {
		der, err := ocsp.CreateRequest(chain[i], chain[i+1], nil)
		if err != nil {
			continue
		}
		asked := bytes.Equal(question, der)
		if first.Method == http.MethodGet {
			asked = strings.HasSuffix(first.URL.Path, "/"+base64.StdEncoding.EncodeToString(der))
		}
		if asked {
			return chain[i], chain[i+1]
		}
	}
	return nil, nil
}

// mayAnswer returns an error unless responder, the certificate that came with an answer, may sign answers for issuer, who issued it (RFC 6960,
// 4.2.2.2). Neither x/crypto nor notation-core-go looks: any certificate of the authority would do, a revoked signer's among them.
func mayAnswer(responder, issuer *x509.Certificate, now time.Time) error {
	switch {
	case responder == nil || responder.Equal(issuer):
		return nil
	case !slices.Contains(responder.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return fmt.Errorf("the answer is signed by %s, whose certificate is not for that (extended key usage OCSPSigning)", responder.Subject)
	case now.Before(responder.NotBefore) || now.After(responder.NotAfter):
		return fmt.Errorf("the answer is signed by %s, whose certificate is valid from %s to %s only", responder.Subject,
			responder.NotBefore.UTC().Format(time.RFC3339), responder.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

func (a answer) response(r *http.Request) *http.Response {
	header := make(http.Header)
	if a.location != "" {
		header.Set("Location", a.location)
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: r,
	}
}
