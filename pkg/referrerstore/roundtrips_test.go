package referrerstore

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ratify-project/ratify/pkg/common"
	exectypes "github.com/ratify-project/ratify/pkg/executor/types"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/policyprovider"
	policytypes "github.com/ratify-project/ratify/pkg/policyprovider/types"
	stores "github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

// path measures the requests of one verification that come one after the other. It holds back those that should come at the same time until
// both are there, so that a verification which waits for the one before it sends the other never ends well.
type path struct {
	pair func(*http.Request) bool // nil: none

	mu       sync.Mutex
	answered int           // the longest chain of requests that were answered
	together chan struct{} // of a pair whose other half is awaited, closed when it comes
}

func (p *path) arrive(r *http.Request) {
	p.mu.Lock()
	depth := p.answered + 1
	if p.pair != nil && p.pair(r) {
		if p.together == nil {
			p.together = make(chan struct{})
			other := p.together
			p.mu.Unlock()
			select {
			case <-other:
			case <-r.Context().Done():
			}
			p.mu.Lock()
		} else {
			close(p.together)
			p.together = nil
		}
	}
	p.answered = max(p.answered, depth)
	p.mu.Unlock()
}

// taken returns the length of the path since the last taken.
func (p *path) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.answered
	p.answered = 0
	return taken
}

func isSubject(r *http.Request) bool { return r.Method == http.MethodHead && isKind("manifests")(r) }
func isReferrersTag(r *http.Request) bool {
	return strings.Contains(r.URL.Path, "/manifests/sha256-") && r.Method == http.MethodGet
}
func subjectAndReferrers(r *http.Request) bool { return isSubject(r) || isKind("referrers")(r) }
func subjectAndTag(r *http.Request) bool       { return isSubject(r) || isReferrersTag(r) }

// reading and readable are a verifier and a policy that are content with what can be read.
type reading struct{}

func (reading) Name() string                                                 { return "reading" }
func (reading) Type() string                                                 { return "reading" }
func (reading) CanVerify(context.Context, ocispecs.ReferenceDescriptor) bool { return true }
func (reading) GetNestedReferences() []string                                { return nil }

func (reading) Verify(ctx context.Context, subject common.Reference, desc ocispecs.ReferenceDescriptor, s stores.ReferrerStore) (verifier.VerifierResult, error) {
	manifest, err := s.GetReferenceManifest(ctx, subject, desc)
	for _, blob := range manifest.Blobs {
		if err == nil {
			_, err = s.GetBlobContent(ctx, subject, blob.Digest)
		}
	}
	return verifier.VerifierResult{IsSuccess: err == nil}, err
}

type readable struct{ policyprovider.PolicyProvider }

func (readable) VerifyNeeded(context.Context, common.Reference, ocispecs.ReferenceDescriptor) bool {
	return true
}
func (readable) OverallVerifyResult(context.Context, []any) bool { return true }
func (readable) GetPolicyType(context.Context) string            { return policytypes.ConfigPolicy }
func (readable) ErrorToVerifyResult(context.Context, string, error) exectypes.VerifyResult {
	return exectypes.VerifyResult{}
}

func engine(s *Store) *verification.Engine {
	e := verification.NewEngine(verification.Options{})
	e.Load(verification.NewSnapshot(1, verification.Scope{Stores: []stores.ReferrerStore{s}, Verifiers: []verifier.ReferenceVerifier{reading{}},
		Policy: readable{}}, verification.SnapshotOptions{VerifyTimeout: 20 * time.Second})) // after which a pair is not awaited any more
	return e
}

// step is a verification and what it costs.
type step struct {
	name  string
	image string
	path  int
	calls map[string]int
}

// take verifies and compares.
func (p *path) take(t *testing.T, e *verification.Engine, counts func() map[string]int, steps []step) {
	t.Helper()
	for _, s := range steps {
		counts()
		p.taken()
		if v := e.Verify(t.Context(), "", s.image); v.Outcome != verification.Verified {
			t.Fatalf("%s: %s %v", s.name, v.Outcome, v.Err)
		}
		if taken := p.taken(); taken != s.path {
			t.Errorf("%s: %d round trips one after the other, want %d", s.name, taken, s.path)
		}
		if got := counts(); !maps.Equal(got, s.calls) {
			t.Errorf("%s: calls %v, want %v", s.name, got, s.calls)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	content := map[string]int{"HEAD manifests": 1, "GET referrers": 1, "GET manifests": 1, "GET blobs": 1}
	with := func(more ...string) map[string]int {
		calls := maps.Clone(content)
		for _, call := range more {
			calls[call]++
		}
		return calls
	}
	setUp := func(t *testing.T, challenge string) (*fake, *path, []string) {
		f := newFake(t)
		f.password, f.challenge = "secret", challenge
		var images []string
		for _, name := range []string{"team/a", "team/b", "team/b"} {
			subject, desc := f.image(name, "v"+string(rune('1'+len(images))))
			f.sign(name, desc, "signature of "+subject.Original)
			images = append(images, subject.Original)
		}
		p := &path{pair: subjectAndReferrers}
		f.on(func(r *http.Request) bool { p.arrive(r); return false }, nil)
		return f, p, images
	}
	t.Run("Bearer", func(t *testing.T) {
		f, p, images := setUp(t, `Bearer realm="https://auth.example.com/token",service="fake"`)
		e := engine(f.store(user("secret")))
		p.take(t, e, f.counts, []step{
			{"first contact", images[0], 5, with("GET v2", "GET token")},
			{"new repository", images[1], 4, with("GET token")},
			{"known repository", images[2], 3, with()},
			{"known content", images[2], 1, map[string]int{"HEAD manifests": 1, "GET referrers": 1}},
		})
		f.set(func() { clear(f.tokens) }) // both requests find out that their token is refused, and share a new one
		p.take(t, e, f.counts, []step{{"revoked token", images[2], 3, map[string]int{"HEAD manifests": 2, "GET referrers": 2, "GET token": 1}}})
	})
	t.Run("Basic", func(t *testing.T) {
		f, p, images := setUp(t, `Basic realm="fake"`)
		p.take(t, engine(f.store(user("secret"))), f.counts, []step{
			{"first contact", images[0], 4, with("GET v2")},
			{"new repository", images[1], 3, with()},
		})
		s := f.store(&refusingProvider{testProvider: *user("old"), next: authprovider.AuthConfig{Username: "user", Password: "secret"}})
		p.take(t, engine(s), f.counts, []step{{"refused password", images[0], 5, with("GET v2", "HEAD manifests", "GET referrers")}})
	})
	t.Run("a tag, resolved and then verified", func(t *testing.T) {
		f, p, images := setUp(t, `Bearer realm="https://auth.example.com/token",service="fake"`)
		p.pair = nil // the subject is known when its referrers are asked for
		e := engine(f.store(user("secret"), "cacheEnabled", true, "ttl", 10))
		f.counts()
		pinned, err := e.Resolve(t.Context(), "", registryHost+"/team/a:v1")
		if err != nil || !strings.HasSuffix(pinned, images[0][strings.Index(images[0], "@"):]) {
			t.Fatal(pinned, err)
		}
		if v := e.Verify(t.Context(), "", pinned); v.Outcome != verification.Verified {
			t.Fatal(v.Err)
		}
		if taken := p.taken(); taken != 6 {
			t.Errorf("%d round trips one after the other, want 6", taken)
		}
		f.wantCalls("each once", with("GET v2", "GET token"))
		f.clock.Advance(11 * time.Second)
		p.pair = subjectAndReferrers
		p.take(t, e, f.counts, []step{{"after the ttl", images[0], 1, map[string]int{"HEAD manifests": 1, "GET referrers": 1}}})
	})
}

// The cloud's own registries: an instance with the referrers API, and one without.
func TestRoundTripsOfCloud(t *testing.T) {
	c := startCloud(t)
	p := &path{pair: subjectAndReferrers}
	for _, host := range []string{stsHost, crHost, authHost, demoHost, oldHost} {
		c.Endpoint(host).SetFault(emulator.Fault{Hang: true, Match: func(r *http.Request) bool { p.arrive(r); return false }})
	}
	var images []string
	for _, name := range []string{"team/a", "team/b", "team/b"} {
		images = append(images, c.image(demoID, demoHost, name, "signature "+string(rune('1'+len(images)))).Original)
	}
	old := []string{c.image(oldID, oldHost, "team/a", "signature").Original, c.image(oldID, oldHost, "team/b", "signature").Original}
	s := c.store()
	s.settings.cosign = false
	e := engine(s)
	counts := func() map[string]int {
		defer c.ResetCalls()
		return c.Calls()
	}
	at := func(host string, manifests int, more ...string) map[string]int {
		calls := map[string]int{host + " HEAD manifests": 1, host + " GET referrers": 1, host + " GET manifests": manifests, host + " GET blobs": 1}
		for _, call := range more {
			calls[call]++
		}
		return calls
	}
	session, password, token := stsHost+" AssumeRoleWithOIDC", crHost+" GetAuthorizationToken", authHost+" GET token"
	p.take(t, e, counts, []step{
		{"first contact", images[0], 7, at(demoHost, 1, session, password, token, demoHost+" GET base")},
		{"new repository", images[1], 4, at(demoHost, 1, token)},
		{"known repository", images[2], 3, at(demoHost, 1)},
		{"known image", images[2], 0, map[string]int{}},
		{"without referrers API, first contact", old[0], 7, at(oldHost, 2, password, token, oldHost+" GET base")},
	})
	p.pair = subjectAndTag
	known := at(oldHost, 2, token)
	delete(known, oldHost+" GET referrers")
	p.take(t, e, counts, []step{{"known to be without referrers API", old[1], 4, known}})
}
