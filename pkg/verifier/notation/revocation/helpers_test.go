package revocation

import (
	"bytes"
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/result"
	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an authority, its responder, and a Checker whose clock the test moves.
type world struct {
	*Checker
	root      signing.Identity
	responder *signing.Responder
	clock     *testclock.Clock
	log       *syncBuffer
}

// newWorld returns a Checker that keeps lists in directory, too, unless that is empty.
func newWorld(t testing.TB, directory string) *world {
	t.Helper()
	w := &world{root: must(signing.Root("root"))(t), clock: testclock.At(time.Now()), log: &syncBuffer{}}
	w.responder = newResponder(t, w.root)
	w.restart(t, directory)
	return w
}

// restart makes a new Checker, which holds nothing in memory.
func (w *world) restart(t testing.TB, directory string) {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	w.Checker = must(New(Options{
		Directory: directory, HTTPClient: &http.Client{Transport: transport}, Now: w.clock.Now,
		Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}))(t)
}

func newResponder(t testing.TB, authority signing.Identity) *signing.Responder {
	r := signing.NewResponder(authority)
	t.Cleanup(r.Close)
	return r
}

// byList and byOCSP return a signer whose revocation is told in that way only, and both one that has it both ways.
func (w *world) byList(t testing.TB) signing.Identity {
	return must(w.root.Issue("leaf", signing.Options{CRL: []string{w.responder.CRL()}}))(t)
}

func (w *world) byOCSP(t testing.TB) signing.Identity {
	return must(w.root.Issue("leaf", signing.Options{OCSP: []string{w.responder.OCSP()}}))(t)
}

func (w *world) both(t testing.TB) signing.Identity {
	return must(w.root.Issue("leaf", signing.Options{OCSP: []string{w.responder.OCSP()}, CRL: []string{w.responder.CRL()}}))(t)
}

// expect asks about signer and wants this result, with these words among the reasons.
func (w *world) expect(t *testing.T, signer signing.Identity, want result.Result, words ...string) {
	t.Helper()
	w.expectIn(t.Context(), t, signer, want, words...)
}

func (w *world) expectIn(ctx context.Context, t *testing.T, signer signing.Identity, want result.Result, words ...string) {
	t.Helper()
	results, err := w.Signing().ValidateContext(ctx, revocation.ValidateContextOptions{CertChain: signer.Chain})
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	for _, s := range results[0].ServerResults {
		if s.Error != nil {
			reasons = append(reasons, s.Error.Error())
		}
	}
	got := strings.Join(reasons, "; ")
	if results[0].Result != want {
		t.Fatalf("%s (%s); want %s", results[0].Result, got, want)
	}
	for _, word := range words {
		if !strings.Contains(got, word) {
			t.Errorf("%q does not say %q", got, word)
		}
	}
}

// expectAsked wants the responder to have been asked so often.
func (w *world) expectAsked(t *testing.T, want int) {
	t.Helper()
	if got := w.responder.Asked(); got != want {
		t.Errorf("the responder was asked %d times, want %d", got, want)
	}
}

// held returns the list at the responder's address that is in memory.
func (w *world) held() (number string, ok bool) {
	held, _ := w.lists.memory.get(keyOf(w.responder.CRL(), w.root.Certificate()), w.clock.Now())
	if held.bundle == nil {
		return "", false
	}
	return held.bundle.BaseCRL.Number.String(), true
}

// size returns how many lists are in memory.
func (w *world) size() int {
	w.lists.memory.mu.Lock()
	defer w.lists.memory.mu.Unlock()
	return w.lists.memory.lists.Len()
}

// must returns what a function returned, unless that is an error, which ends the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func down(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusServiceUnavailable)
	return true
}

// says returns a fault that answers everything with body.
func says(body []byte) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write(body)
		return true
	}
}

// fetched returns what is at an address.
func fetched(t *testing.T, url string) []byte {
	t.Helper()
	request := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))(t)
	transport := &http.Transport{DisableKeepAlives: true}
	response := must(transport.RoundTrip(request))(t)
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.Status, err)
	}
	return body.Bytes()
}

// eventually waits for what happens in the background, and fails when it does not.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !done(); {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func certificates(identities ...signing.Identity) []*x509.Certificate {
	var certs []*x509.Certificate
	for _, i := range identities {
		certs = append(certs, i.Certificate())
	}
	return certs
}
