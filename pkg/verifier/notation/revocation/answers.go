package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
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
// the old answer until its nextUpdate when they do not answer.
type answers struct {
	next  http.RoundTripper
	calls *flight.Group[answer]
	kept  *lru.Cache[string, answer]
	now   func() time.Time
}

// answer is an HTTP response that was read.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	signed   bool      // by the authority or on its behalf, and about the certificate in question
	askAgain time.Time // zero for what is not kept
	ends     time.Time
}

func newAnswers(next http.RoundTripper, now func() time.Time) (*answers, error) {
	kept, err := lru.New[string, answer](maxAnswers)
	if err != nil {
		return nil, err
	}
	return &answers{next, flight.New[answer](ocspTimeout), kept, now}, nil
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
	key := r.Method + r.URL.String() + "\n" + string(question)
	if issuer != nil {
		key += string(issuer.Raw) // the question has no more of it than hashes by SHA-1
	}
	held, ok := a.kept.Get(key)
	if now := a.now(); ok && now.After(held.ends) {
		ok = false
	} else if ok && now.Before(held.askAgain) {
		return held.response(r), nil
	}
	ctx, cancel := withShare(r.Context(), ocspShare, ocspTimeout)
	defer cancel()
	got, err := a.calls.Do(ctx, key, func(ctx context.Context) (answer, error) { return a.ask(ctx, r, question, key, cert, issuer) })
	switch {
	case ok && !got.signed:
		return held.response(r), nil
	case err != nil:
		return nil, err
	}
	return got.response(r), nil
}

// ask asks the responder and keeps its answer if it is one about cert.
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
	got := answer{status: response.StatusCode, header: response.Header, body: body}
	if cert == nil || got.status != http.StatusOK {
		return got, nil
	}
	parsed, err := ocsp.ParseResponseForCert(body, cert, issuer)
	if err != nil {
		return got, nil // notation-core-go finds the same, and says so
	}
	now := a.now()
	if err := mayAnswer(parsed.Certificate, issuer, now); err != nil {
		return answer{}, err
	}
	got.signed, got.ends = now.Before(parsed.NextUpdate), parsed.NextUpdate
	if got.signed && parsed.Status != ocsp.Unknown && !now.Add(clockSkew).Before(parsed.ThisUpdate) {
		got.askAgain = now.Add(min(maxAnswerAge, parsed.NextUpdate.Sub(now)))
		a.kept.Add(key, got)
	}
	return got, nil
}

// about returns the certificate of the request's chain that the question is about, and its issuer; nil if it is about none.
func about(r *http.Request, question []byte) (cert, issuer *x509.Certificate) {
	chain := chainOf(r.Context())
	for i := range len(chain) - 1 {
		der, err := ocsp.CreateRequest(chain[i], chain[i+1], nil)
		if err != nil {
			continue
		}
		if bytes.Equal(question, der) || question == nil && strings.HasSuffix(r.URL.Path, "/"+base64.StdEncoding.EncodeToString(der)) {
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
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.header.Clone(), Body: io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: r,
	}
}
