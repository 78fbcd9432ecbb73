package notation

import (
	"context"
	"crypto/x509"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/signature/cose"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation/revocation"
)

// newChecker returns a Checker whose connections end with the test.
func newChecker(t *testing.T, directory string) *revocation.Checker {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	c, err := revocation.New(revocation.Options{Directory: directory, HTTPClient: &http.Client{Transport: transport}, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestUnreachableResponder has responders that fail, or hang for longer than a request may take: each level says what that means, and says so
// before the request's time is over.
func TestUnreachableResponder(t *testing.T) {
	root := newRoot(t, "root")
	image := imageOf("image")
	hang := func(release <-chan struct{}, part string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasPrefix(r.URL.Path, part) {
				<-release
			}
			return false
		}
	}
	fail := func(_ <-chan struct{}, part string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, part) {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
	}
	faults := map[string]func(<-chan struct{}, string) func(http.ResponseWriter, *http.Request) bool{"hangs": hang, "fails": fail}
	tests := []struct {
		level, part string
		want        string // verified, refused, undetermined
		words       string
	}{
		{"strict", "/", "undetermined", "revocation status of certificate CN=leaf"},
		{"permissive", "/", "verified", "lets failed checks pass: revocation"},
		{"audit", "/", "verified", "lets failed checks pass: revocation"},
		{"strict", "/ocsp", "refused", "is revoked"}, // the list knows
		{"strict", "/crl", "refused", "is revoked"},
		{"permissive", "/ocsp", "verified", "is revoked"},
	}
	for how, fault := range faults {
		for _, tt := range tests {
			t.Run(how+" at "+tt.part+", "+tt.level, func(t *testing.T) {
				t.Parallel()
				s := newResponder(t, root)
				release := make(chan struct{})
				t.Cleanup(func() { close(release) })
				s.SetFault(fault(release, tt.part))
				leaf := issue(t, root, "leaf", newKey(t), withOCSP(s), withCRL(s))
				s.Revoke(leaf.cert)
				v, err := New(t.Context(), parse(t, level(tt.level)), Options{
					KeyMaterial: providers{"roots": {root.cert}}, Log: quiet(), Revocation: newChecker(t, "")})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				result, err := verify(ctx, v, newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope)))
				got := map[bool]string{true: "verified", false: "refused"}[result.IsSuccess]
				text := result.Message
				if err != nil {
					got, text = "undetermined", err.Error()
				}
				if got != tt.want || !strings.Contains(text, tt.words) {
					t.Errorf("%s: %q; want %s with %q", got, text, tt.want, tt.words)
				}
				if ctx.Err() != nil {
					t.Error("the request's time is over")
				}
			})
		}
	}
}

// TestRevocationIsShared makes verifiers anew, as new configurations do: what was learnt stays, and the lists that trust anchors name are there
// before anybody asks.
func TestRevocationIsShared(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	root := newRoot(t, "root")
	s := newResponder(t, root)
	intermediate := issue(t, root, "intermediate", newKey(t), asCA, withCRL(s))
	leaf := issue(t, intermediate, "leaf", newKey(t))
	image := imageOf("image")
	store := newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope))
	directory := t.TempDir()
	checker := newChecker(t, directory)
	verifierWith := func(c *revocation.Checker, anchors ...*x509.Certificate) *Verifier {
		v, err := New(t.Context(), parse(t, level("strict")), Options{KeyMaterial: providers{"roots": anchors}, Log: quiet(), Revocation: c})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	fetched := make(chan struct{}, 10)
	s.SetFault(func(http.ResponseWriter, *http.Request) bool { fetched <- struct{}{}; return false })
	first := verifierWith(checker, root.cert, intermediate.cert)
	<-fetched // although nobody has verified anything
	for _, v := range []*Verifier{first, verifierWith(checker, root.cert, intermediate.cert), verifierWith(checker, root.cert)} {
		judge(t, v, store, true, true)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) { // the list is used before it is on the disk
		if files, err := filepath.Glob(filepath.Join(directory, strings.Repeat("[0-9a-f]", 64))); len(files) == 1 {
			break
		} else if err != nil || time.Now().After(end) {
			t.Fatalf("%d files, %v", len(files), err)
		}
	}
	judge(t, verifierWith(newChecker(t, directory), root.cert), store, true, true)
	if asked := s.Asked(); asked != 1 {
		t.Errorf("the list was fetched %d times, want once", asked)
	}
}

// TestDeltaList revokes by a delta list.
func TestDeltaList(t *testing.T) {
	root := newRoot(t, "root")
	s := newResponder(t, root)
	s.SetDelta()
	revoked, good := issue(t, root, "revoked", newKey(t), withCRL(s)), issue(t, root, "good", newKey(t), withCRL(s))
	s.Revoke(revoked.cert)
	image := imageOf("image")
	v := newVerifier(t, level("strict"), root.cert)
	expectRefused(t, v, newStore(image, sign(t, revoked, image, cose.MediaTypeEnvelope)), "revocation", "CN=revoked", "is revoked")
	if result, err := verify(t.Context(), v, newStore(image, sign(t, good, image, cose.MediaTypeEnvelope))); err != nil || !result.IsSuccess {
		t.Errorf("Verify() = %+v, %v", result, err)
	}
	if asked := s.Asked(); asked != 2 {
		t.Errorf("the responder was asked %d times, want once for each list", asked)
	}
}
