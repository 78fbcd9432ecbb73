package gatekeeper

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/metrics"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

const image = "demo-registry.cn-hangzhou.cr.aliyuncs.com/team/app@sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"

// ordinary is a verdict with the report of an ordinary Notation signature.
func ordinary(b *testing.B) verification.Verdict {
	b.Helper()
	report, err := json.Marshal(verifier.VerifierResult{
		Subject: image, IsSuccess: true, Name: "verifier-notation", VerifierName: "verifier-notation", Type: "notation", VerifierType: "notation",
		ReferenceDigest: "sha256:57f2ae062b76cff6f5a511fe6f907decfdefd6495e6afa31c44e0a6a1eca146f", ArtifactType: "application/vnd.cncf.notary.signature",
		Message: "signature verified",
		Extensions: map[string]string{"Issuer": "CN=Example Signing CA,O=Example,ST=Zhejiang,C=CN", "SN": "CN=releases,O=Example,ST=Zhejiang,C=CN",
			"trustPolicy": "default", "verificationLevel": "strict"},
	})
	if err != nil {
		b.Fatal(err)
	}
	return verification.Verdict{Outcome: verification.Verified, Subject: image, PolicyType: "configpolicy", Reports: []json.RawMessage{report}}
}

// known is a Session that has a verdict already.
type known struct{ verdict verification.Verdict }

func (known) VerifyTimeout() time.Duration { return time.Second }
func (known) MutateTimeout() time.Duration { return time.Second }

func (k known) Known(string, string) (verification.Verdict, bool) { return k.verdict, true }

func (k known) Verify(context.Context, string, string) verification.Verdict { return k.verdict }

func (known) Resolve(_ context.Context, _, image string) (string, error) { return image, nil }

// What the handler costs around the verdict: reading the request, and writing the answer and the log.
func BenchmarkVerify(b *testing.B) {
	session := known{ordinary(b)}
	log := slog.New(slog.NewTextHandler(nowhere{}, nil)) // io.Discard would spare the work
	h := NewHandler(func() Session { return session }, HandlerOptions{Metrics: metrics.New(), Log: log})
	body := []byte(usualBegin + image + usualEnd)
	reader := bytes.NewReader(body)
	request := httptest.NewRequest(http.MethodPost, root+"/verify", reader)
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		h.ServeHTTP(nowhere{}, request)
	}
}

// nowhere is a log, and a client that does not read.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) WriteHeader(int)             {}
