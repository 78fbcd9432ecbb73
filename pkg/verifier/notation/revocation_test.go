package notation

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/signature/cose"
	"golang.org/x/crypto/ocsp"
)

// responder answers questions about the revocation of certificates that issuer issued, at /ocsp and /crl.
type responder struct {
	*httptest.Server
	issuer  *identity
	revoked atomic.Pointer[big.Int]
	ask     func(w http.ResponseWriter, r *http.Request) bool // answers instead when it returns true
	asked   atomic.Int32
}

func newResponder(t *testing.T, issuer *identity) *responder {
	s := &responder{issuer: issuer}
	s.Server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Close)
	return s
}

func (s *responder) serve(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	if s.ask != nil && s.ask(w, r) {
		return
	}
	if err := s.answer(w, r); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (s *responder) answer(w io.Writer, r *http.Request) error {
	if strings.HasPrefix(r.URL.Path, "/crl") {
		list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
		if serial := s.revoked.Load(); serial != nil {
			list.RevokedCertificateEntries = []x509.RevocationListEntry{{SerialNumber: serial, RevocationTime: time.Now().Add(-time.Minute)}}
		}
		der, err := x509.CreateRevocationList(rand.Reader, list, s.issuer.cert, s.issuer.key)
		if err != nil {
			return err
		}
		_, err = w.Write(der)
		return err
	}
	question, err := ocspQuestion(r)
	if err != nil {
		return err
	}
	template := ocsp.Response{SerialNumber: question.SerialNumber, Status: ocsp.Good, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
	if serial := s.revoked.Load(); serial != nil && serial.Cmp(question.SerialNumber) == 0 {
		template.Status, template.RevokedAt = ocsp.Revoked, time.Now().Add(-time.Minute)
	}
	der, err := ocsp.CreateResponse(s.issuer.cert, s.issuer.cert, template, s.issuer.key)
	if err != nil {
		return err
	}
	_, err = w.Write(der)
	return err
}

func ocspQuestion(r *http.Request) (*ocsp.Request, error) {
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		return ocsp.ParseRequest(body)
	}
	der, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.URL.Path, "/ocsp/"))
	if err != nil {
		return nil, err
	}
	return ocsp.ParseRequest(der)
}

func withOCSP(s *responder) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.OCSPServer = []string{s.URL + "/ocsp"} }
}

func withCRL(s *responder) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.CRLDistributionPoints = []string{s.URL + "/crl"} }
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
		for range maxRevocationBytes>>20 + 2 {
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
		{"CRL floods", false, true, false, flood, "strict", "undetermined", "too large"},
		{"OCSP down, CRL good", true, true, false, failOCSP, "strict", "verified", ""},
		{"OCSP down, CRL revoked", true, true, true, failOCSP, "strict", "refused", "CN=leaf"},
		{"permissive, revoked", true, false, true, nil, "permissive", "verified", "is revoked"},
		{"permissive, down", true, false, false, fail, "permissive", "verified", "503"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newResponder(t, root)
			s.ask = tt.ask
			var changes []func(*x509.Certificate)
			if tt.ocsp {
				changes = append(changes, withOCSP(s))
			}
			if tt.crl {
				changes = append(changes, withCRL(s))
			}
			leaf := issue(t, root, "leaf", newKey(t), changes...)
			if tt.revoked {
				s.revoked.Store(leaf.cert.SerialNumber)
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
			if s.asked.Load() == 0 {
				t.Error("the responder was not asked")
			}
		})
	}

	t.Run("of another image's signature it does not matter", func(t *testing.T) {
		s := newResponder(t, root)
		s.ask = fail
		leaf := issue(t, root, "leaf", newKey(t), withOCSP(s))
		expectRefused(t, newVerifier(t, level("strict"), root.cert), newStore(image, sign(t, leaf, imageOf("x"), cose.MediaTypeEnvelope)), "subject", "not for this image")
	})
	t.Run("revoked is revoked, whatever is unknown about its issuer", func(t *testing.T) {
		down := newResponder(t, root)
		down.ask = fail
		intermediate := issue(t, root, "intermediate", newKey(t), asCA, withOCSP(down))
		s := newResponder(t, intermediate)
		leaf := issue(t, intermediate, "leaf", newKey(t), withOCSP(s))
		store := newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope))
		v := newVerifier(t, level("strict"), root.cert)
		if result, err := verify(t.Context(), v, store); err == nil || !strings.Contains(err.Error(), "CN=intermediate") {
			t.Errorf("Verify() = %+v, %v; want an error about the intermediate", result, err)
		}
		s.revoked.Store(leaf.cert.SerialNumber)
		expectRefused(t, v, store, "revocation", "CN=leaf", "is revoked")
	})
	t.Run("skipped by override", func(t *testing.T) {
		s := newResponder(t, root)
		leaf := issue(t, root, "leaf", newKey(t), withOCSP(s))
		v := newVerifier(t, withPolicy(`"registryScopes":["*"],"signatureVerification":{"level":"strict","override":{"revocation":"skip"}},
			"trustStores":["ca:certs"],"trustedIdentities":["*"]`), root.cert)
		result, err := verify(t.Context(), v, newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope)))
		if err != nil || !result.IsSuccess || s.asked.Load() != 0 {
			t.Errorf("Verify() = %+v, %v after %d questions", result, err, s.asked.Load())
		}
	})
}

// TestCancelled asks a responder that does not answer, and gives up.
func TestCancelled(t *testing.T) {
	root := newRoot(t, "root")
	image := imageOf("image")
	for name, with := range map[string]func(*responder) func(*x509.Certificate){"OCSP": withOCSP, "CRL": withCRL} {
		t.Run(name, func(t *testing.T) {
			s := newResponder(t, root)
			ctx, cancel := context.WithCancel(t.Context())
			release := make(chan struct{})
			s.ask = func(http.ResponseWriter, *http.Request) bool {
				cancel()
				<-release
				return true
			}
			defer close(release)
			leaf := issue(t, root, "leaf", newKey(t), with(s))
			v := newVerifier(t, level("strict"), root.cert)
			start := time.Now()
			result, err := verify(ctx, v, newStore(image, sign(t, leaf, image, cose.MediaTypeEnvelope)))
			if !errors.Is(err, context.Canceled) || result.IsSuccess {
				t.Errorf("Verify() = %+v, %v; want the context's error", result, err)
			}
			if waited := time.Since(start); waited > revocationTimeout {
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
	if asked := s.asked.Load(); asked != 1 {
		t.Errorf("the list was fetched %d times, want once", asked)
	}
}

func TestInstanceServicesAreNotAsked(t *testing.T) {
	for address, refused := range map[string]bool{
		"100.100.100.200:80": true, "169.254.169.254:80": true, "[fe80::1]:80": true, "[::ffff:100.100.100.200]:80": true,
		"192.0.2.1:80": false, "127.0.0.1:80": false, "[2001:db8::1]:443": false,
	} {
		if err := refuseInstanceServices("tcp", address, nil); (err != nil) != refused {
			t.Errorf("refuseInstanceServices(%s) = %v, want refused: %t", address, err, refused)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/", instanceMetadata), nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := revocationClient().Transport.(*http.Transport).Clone()
	transport.Proxy = nil // the machine's own settings do not matter here
	if response, err := transport.RoundTrip(request); err == nil || !strings.Contains(err.Error(), "not an address of a revocation responder") {
		t.Errorf("GET of the metadata service: %v, %v", response, err)
	}
}

func TestWitnessWithoutVerification(t *testing.T) {
	witnessOf(context.Background()).plugin = errors.New("nobody asks")
	if err := witnessOf(context.Background()).err(); err != nil {
		t.Error(err)
	}
}
