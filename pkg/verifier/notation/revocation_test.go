package notation

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/notaryproject/notation-core-go/signature/cose"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation/revocation"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// newResponder starts the responder of an authority.
func newResponder(t *testing.T, authority *identity) *signing.Responder {
	s := signing.NewResponder(signing.Identity{Key: authority.key, Chain: authority.chain})
	t.Cleanup(s.Close)
	return s
}

func withOCSP(s *signing.Responder) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.OCSPServer = []string{s.OCSP()} }
}

func withCRL(s *signing.Responder) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.CRLDistributionPoints = []string{s.CRL()} }
}

func TestRevocation(t *testing.T) {
	root := newRoot(t, "root")
	image := imageOf("image")
	fail := func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	failOCSP := func(w http.ResponseWriter, r *http.Request) bool {
		return strings.HasPrefix(r.URL.Path, "/ocsp") && fail(w, r)
	}
	lie := func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = io.WriteString(w, "not an answer")
		return true
	}
	flood := func(w http.ResponseWriter, _ *http.Request) bool {
		for range 16 + 2 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				break
			}
		}
		return true
	}
	tests := []struct {
		name      string
		ocsp, crl bool
		revoked   bool
		ask       func(http.ResponseWriter, *http.Request) bool
		level     string
		want      string // verified, refused, undetermined
		words     string
	}{
		{"OCSP good", true, false, false, nil, "strict", "verified", ""},
		{"OCSP revoked", true, false, true, nil, "strict", "refused", "CN=leaf"},
		{"OCSP down", true, false, false, fail, "strict", "undetermined", "503"},
		{"OCSP lies", true, false, false, lie, "strict", "undetermined", "revocation status of certificate CN=leaf"},
		{"OCSP floods", true, false, false, flood, "strict", "undetermined", "revocation status of certificate CN=leaf"},
		{"CRL good", false, true, false, nil, "strict", "verified", ""},
		{"CRL revoked", false, true, true, nil, "strict", "refused", "CN=leaf"},
		{"CRL down", false, true, false, fail, "strict", "undetermined", "/crl"},
		{"CRL lies", false, true, false, lie, "strict", "undetermined", "/crl"},
		{"CRL floods", false, true, false, flood, "strict", "undetermined", "has more than 16777216 bytes"},
		{"OCSP down, CRL good", true, true, false, failOCSP, "strict", "verified", ""},
		{"OCSP down, CRL revoked", true, true, true, failOCSP, "strict", "refused", "CN=leaf"},
		{"permissive, revoked", true, false, true, nil, "permissive", "verified", "is revoked"},
		{"permissive, down", true, false, false, fail, "permissive", "verified", "503"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newResponder(t, root)
			s.SetFault(tt.ask)
			var changes []func(*x509.Certificate)
			if tt.ocsp {
				changes = append(changes, withOCSP(s))
			}
			if tt.crl {
				changes = append(changes, withCRL(s))
			}
			leaf := issue(t, root, "leaf", newKey(t), changes...)
			if tt.revoked {
				s.Revoke(leaf.cert)
			}
			v := newVerifier(t, level(tt.level), root.cert)
			result, err := verify(t.Context(), v, newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope)))
			got := map[bool]string{true: "verified", false: "refused"}[result.IsSuccess]
			text := result.Message
			if err != nil {
				got, text = "undetermined", err.Error()
			}
			if got != tt.want || !strings.Contains(text, tt.words) {
				t.Errorf("%s: %q; want %s with %q", got, text, tt.want, tt.words)
			}
			if s.Asked() == 0 {
				t.Error("the responder was not asked")
			}
		})
	}

	t.Run("of another image's signature it does not matter", func(t *testing.T) {
		s := newResponder(t, root)
		s.SetFault(fail)
		leaf := issue(t, root, "leaf", newKey(t), withOCSP(s))
		expectRefused(t, newVerifier(t, level("strict"), root.cert), newStore(image, sign(t, leaf, imageOf("x"), cose.MediaTypeEnvelope)), "subject", "not for this image")
	})
	t.Run("revoked is revoked, whatever is unknown about its issuer", func(t *testing.T) {
		down := newResponder(t, root)
		down.SetFault(fail)
		intermediate := issue(t, root, "intermediate", newKey(t), asCA, withOCSP(down))
		s := newResponder(t, intermediate)
		leaf := issue(t, intermediate, "leaf", newKey(t), withOCSP(s))
		store := newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope))
		v := newVerifier(t, level("strict"), root.cert)
		if result, err := verify(t.Context(), v, store); err == nil || !strings.Contains(err.Error(), "CN=intermediate") {
			t.Errorf("Verify() = %+v, %v; want an error about the intermediate", result, err)
		}
		s.Revoke(leaf.cert)
		v = newVerifier(t, level("strict"), root.cert) // one that was told nothing before
		expectRefused(t, v, store, "revocation", "CN=leaf", "is revoked")
	})
	t.Run("skipped by override", func(t *testing.T) {
		s := newResponder(t, root)
		leaf := issue(t, root, "leaf", newKey(t), withOCSP(s))
		v := newVerifier(t, withPolicy(`"registryScopes":["*"],"signatureVerification":{"level":"strict","override":{"revocation":"skip"}},
			"trustStores":["ca:certs"],"trustedIdentities":["*"]`), root.cert)
		result, err := verify(t.Context(), v, newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope)))
		if err != nil || !result.IsSuccess || s.Asked() != 0 {
			t.Errorf("Verify() = %+v, %v after %d questions", result, err, s.Asked())
		}
	})
}

// TestCancelled asks a responder that does not answer, and gives up.
func TestCancelled(t *testing.T) {
	root := newRoot(t, "root")
	image := imageOf("image")
	for name, with := range map[string]func(*signing.Responder) func(*x509.Certificate){"OCSP": withOCSP, "CRL": withCRL} {
		t.Run(name, func(t *testing.T) {
			s := newResponder(t, root)
			ctx, cancel := context.WithCancel(t.Context())
			release := make(chan struct{})
			s.SetFault(func(http.ResponseWriter, *http.Request) bool {
				cancel()
				<-release
				return true
			})
			defer close(release)
			leaf := issue(t, root, "leaf", newKey(t), with(s))
			v := newVerifier(t, level("strict"), root.cert)
			start := time.Now()
			result, err := verify(ctx, v, newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope)))
			if !errors.Is(err, context.Canceled) || result.IsSuccess {
				t.Errorf("Verify() = %+v, %v; want the context's error", result, err)
			}
			if waited := time.Since(start); waited > 2500*time.Millisecond { // a responder has three seconds
				t.Errorf("gave up after %s only", waited)
			}
		})
	}
}

// TestListsAreShared has many verifications at once need the same revocation list.
func TestListsAreShared(t *testing.T) {
	root := newRoot(t, "root")
	s := newResponder(t, root)
	image := imageOf("image")
	leaf := issue(t, root, "leaf", newKey(t), withCRL(s))
	v := newVerifier(t, level("strict"), root.cert)
	envelope := sign(t, leaf, image, cose.MediaTypeEnvelope)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if result, err := verify(t.Context(), v, newStore(image, envelope)); err != nil || !result.IsSuccess {
				t.Errorf("Verify() = %+v, %v", result, err)
			}
		})
	}
	wg.Wait()
	if asked := s.Asked(); asked != 1 {
		t.Errorf("the list was fetched %d times, want once", asked)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestListOnDiskIsNotRenewed has commands, each of which verifies one image and ends, use the list that the first of them fetched. A list of the
// disk is due at once: who looks at it again after the verification, to remember that, has it fetched for nobody.
func TestListOnDiskIsNotRenewed(t *testing.T) {
	directory := t.TempDir()
	t.Setenv("HOME", t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		root, image := newRoot(t, "root"), imageOf("image")
		leaf := issue(t, root, "leaf", newKey(t), func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://ca.example.com/crl"} })
		store := newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope))
		fetches := 0
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			fetches++
			list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
			der, err := x509.CreateRevocationList(rand.Reader, list, root.cert, root.key)
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(der)), Request: r}, err
		})}
		for range 3 {
			checker, err := revocation.New(revocation.Options{Directory: directory, HTTPClient: client, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			v, err := New(t.Context(), parse(t, level("strict")), Options{KeyMaterial: providers{"roots": {root.cert}}, Revocation: checker, Log: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			judge(t, v, store, true, true)
			synctest.Wait()
			if fetches != 1 {
				t.Errorf("the list was fetched %d times", fetches)
			}
		}
	})
}

func TestWitnessWithoutVerification(t *testing.T) {
	witnessOf(context.Background()).plugin = errors.New("nobody asks")
	if err := witnessOf(context.Background()).err(); err != nil {
		t.Error(err)
	}
}
