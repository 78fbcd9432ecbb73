package referrerstore

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

// dockerConfig is the folder of Docker's configuration, which the docker package reads from the environment once for all.
var dockerConfig string

func TestMain(m *testing.M) {
	logrus.SetOutput(io.Discard) // Ratify's registry of auth providers logs each that it makes
	os.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	os.Unsetenv("ALIBABA_CLOUD_STS_REGION")
	var err error
	if dockerConfig, err = os.MkdirTemp("", "docker-config-"); err != nil {
		log.Fatal(err)
	}
	os.Setenv("DOCKER_CONFIG", dockerConfig)
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // parallel tests here wait for time-outs and compute little
		log.Fatal(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dockerConfig)
		os.Exit(code)
	}))
}

const (
	registryHost = "registry.example.com"
	tokenHost    = "auth.example.com"
	blobHost     = "blobs.example.com" // object storage, where the test sends blobs on demand

	signatureType = "application/vnd.cncf.notary.signature"
)

// fake is a registry, its token service and its object storage: go-containerregistry's registry behind TLS under the three host names
// above, with access control before it.
type fake struct {
	t         *testing.T
	back      *httptest.Server // the registry itself, for pushing
	front     *httptest.Server
	dialer    map[string]string // host:port → address
	challenge string            // Www-Authenticate; "": everything is open
	clock     *testclock.Clock

	mu        sync.Mutex
	password  string            // of any user; "": anonymous access is enough
	life      int               // expires_in; 0: not told
	tokens    map[string]string // valid tokens → the scope they are for
	issued    int
	calls     map[string]int
	headers   map[string][]http.Header
	intercept func(w http.ResponseWriter, r *http.Request) bool // true: it answered
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, clock: testclock.At(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), tokens: map[string]string{}, calls: map[string]int{}, headers: map[string][]http.Header{}}
	f.challenge = fmt.Sprintf(`Bearer realm="https://%s/token",service="fake"`, tokenHost)
	f.back = httptest.NewServer(ggcrregistry.New(ggcrregistry.Logger(log.New(io.Discard, "", 0)), ggcrregistry.WithReferrersSupport(true)))
	t.Cleanup(f.back.Close)
	f.front = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	f.front.Config.ErrorLog = log.New(io.Discard, "", 0)
	f.front.EnableHTTP2 = true
	f.front.StartTLS()
	t.Cleanup(func() {
		f.front.CloseClientConnections()
		f.front.Close()
	})
	address := f.front.Listener.Addr().String()
	f.dialer = map[string]string{registryHost + ":443": address, tokenHost + ":443": address, blobHost + ":443": address,
		"other.example.com:443": address}
	return f
}

// transport reaches the fake under its host names, and nothing else.
func (f *fake) transport() *http.Transport {
	roots := x509.NewCertPool()
	roots.AddCert(f.front.Certificate())
	return f.dial(&http.Transport{TLSClientConfig: f.front.Client().Transport.(*http.Transport).TLSClientConfig.Clone(), ForceAttemptHTTP2: true})
}

func (f *fake) dial(t *http.Transport) *http.Transport {
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		to, ok := f.dialer[address]
		if !ok {
			return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
		}
		return new(net.Dialer).DialContext(ctx, network, to)
	}
	return t
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	kind := parts[len(parts)-1]
	if len(parts) > 2 {
		kind = parts[len(parts)-2]
	}
	call := r.Method + " " + kind // such as "GET manifests", "GET v2", "GET token"
	f.mu.Lock()
	f.calls[call]++
	f.headers[r.Host+" "+call] = append(f.headers[r.Host+" "+call], r.Header.Clone())
	intercept := f.intercept
	f.mu.Unlock()
	if intercept != nil && intercept(w, r) {
		return
	}
	switch {
	case r.Host == tokenHost:
		f.serveToken(w, r)
	case r.Host == blobHost, f.admits(r):
		f.forward(w, r)
	default:
		w.Header().Set("Www-Authenticate", f.challenge)
		deny(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	}
}

// admits tells whether the request carries what the challenge asks for.
func (f *fake) admits(r *http.Request) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.challenge == "" {
		return true
	}
	if _, password, ok := r.BasicAuth(); ok && strings.HasPrefix(f.challenge, "Basic") {
		return password == f.password
	}
	bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	scope := f.tokens[bearer]
	return ok && scope != "" && strings.HasPrefix(r.URL.Path, "/v2/"+strings.Split(scope, ":")[1]+"/")
}

func (f *fake) serveToken(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, password, ok := r.BasicAuth(); ok != (f.password != "") || password != f.password {
		deny(w, http.StatusUnauthorized, "UNAUTHORIZED", "wrong password")
		return
	}
	f.issued++
	value := fmt.Sprint("token-", f.issued)
	f.tokens[value] = r.FormValue("scope")
	answer := map[string]any{"token": value}
	if f.life > 0 {
		answer["expires_in"] = f.life
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (f *fake) forward(w http.ResponseWriter, r *http.Request) {
	req, _ := http.NewRequestWithContext(r.Context(), r.Method, f.back.URL+r.URL.RequestURI(), nil)
	req.Header = r.Header.Clone()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	maps.Copy(w.Header(), resp.Header)
	if resp.ContentLength >= 0 {
		w.Header().Set("Content-Length", fmt.Sprint(resp.ContentLength))
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func deny(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, text)
}

// set changes the fake while it may be serving.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// on answers requests that match with handler.
func (f *fake) on(match func(*http.Request) bool, handler http.HandlerFunc) {
	f.set(func() {
		f.intercept = func(w http.ResponseWriter, r *http.Request) bool {
			if !match(r) {
				return false
			}
			handler(w, r)
			return true
		}
	})
}

// counts returns the calls since the last counts.
func (f *fake) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := f.calls
	f.calls = map[string]int{}
	return counts
}

func (f *fake) wantCalls(what string, want map[string]int) {
	f.t.Helper()
	if got := f.counts(); !maps.Equal(got, want) {
		f.t.Errorf("%s: calls %v, want %v", what, got, want)
	}
}

// repository is a client that pushes.
func (f *fake) repository(name string) *remote.Repository {
	r := &remote.Repository{PlainHTTP: true, Reference: registry.Reference{Registry: strings.TrimPrefix(f.back.URL, "http://"), Repository: name}}
	r.Client = http.DefaultClient
	return r
}

func (f *fake) push(name, mediaType string, data []byte) ocispec.Descriptor {
	f.t.Helper()
	desc := content.NewDescriptorFromBytes(mediaType, data)
	if err := f.repository(name).Push(f.t.Context(), desc, bytes.NewReader(data)); err != nil {
		f.t.Fatal(err)
	}
	return desc
}

// image pushes an image with a tag.
func (f *fake) image(name, tag string) (common.Reference, ocispec.Descriptor) {
	f.t.Helper()
	repository := f.repository(name)
	desc, err := oras.PackManifest(f.t.Context(), repository, oras.PackManifestVersion1_1, "application/test", oras.PackManifestOptions{
		ManifestAnnotations: map[string]string{"org.example.name": name + tag, ocispec.AnnotationCreated: "2026-01-01T00:00:00Z"}})
	if err == nil {
		err = repository.Tag(f.t.Context(), desc, tag)
	}
	if err != nil {
		f.t.Fatal(err)
	}
	path := registryHost + "/" + name
	return common.Reference{Path: path, Digest: desc.Digest, Original: path + "@" + desc.Digest.String()}, desc
}

// sign attaches a blob to subject.
func (f *fake) sign(name string, subject ocispec.Descriptor, blob string) (manifest, signature ocispec.Descriptor) {
	f.t.Helper()
	signature = f.push(name, "application/jose+json", []byte(blob))
	// go-containerregistry's referrers API takes the artifact type from the config.
	config := f.push(name, signatureType, []byte("{}"))
	manifest, err := oras.PackManifest(f.t.Context(), f.repository(name), oras.PackManifestVersion1_1, signatureType, oras.PackManifestOptions{
		Subject: &subject, Layers: []ocispec.Descriptor{signature}, ConfigDescriptor: &config,
		ManifestAnnotations: map[string]string{ocispec.AnnotationCreated: "2026-01-01T00:00:00Z"}})
	if err != nil {
		f.t.Fatal(err)
	}
	return manifest, signature
}

// testProvider is an auth provider whose answer the test sets.
type testProvider struct {
	mu     sync.Mutex
	config authprovider.AuthConfig
	err    error
	calls  int
}

func (p *testProvider) Provide(context.Context, string) (authprovider.AuthConfig, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	return p.config, p.err
}

func (p *testProvider) set(config authprovider.AuthConfig, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config, p.err = config, err
}

func (p *testProvider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// refusingProvider also takes back what was refused, and then has the next password.
type refusingProvider struct {
	testProvider
	next    authprovider.AuthConfig
	refused []string
}

func (p *refusingProvider) Refused(artifact string, refused authprovider.AuthConfig) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = append(p.refused, artifact+" "+refused.Password)
	if p.next.Password != "" {
		p.config = p.next
	}
	return "they are of instance cri-default: name another in acrInstancesConfig"
}

// store makes a store that reaches the fake, with keys and values of its configuration, and provider for every auth provider.
func (f *fake) store(provider authprovider.AuthProvider, keysAndValues ...any) *Store {
	f.t.Helper()
	return f.storeWith(Options{}, provider, keysAndValues...)
}

func (f *fake) storeWith(o Options, provider authprovider.AuthProvider, keysAndValues ...any) *Store {
	f.t.Helper()
	cfg := storeconfig.StorePluginConfig{"name": "oras"}
	for i := 0; i < len(keysAndValues); i += 2 {
		cfg[keysAndValues[i].(string)] = keysAndValues[i+1]
	}
	if o.Transport == nil {
		o.Transport = f.transport()
	}
	if provider != nil {
		o.NewAuthProvider = func(map[string]any) (authprovider.AuthProvider, error) { return provider, nil }
	}
	o.Now = f.clock.Now
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s, err := New(cfg, "1.0.0", o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { s.Close() })
	return s
}

// verify does what a verification reads: the subject, its referrers, their manifests and blobs.
func verify(ctx context.Context, s *Store, subject common.Reference) (blobs []string, err error) {
	desc, err := s.GetSubjectDescriptor(ctx, subject)
	if err != nil {
		return nil, err
	}
	list, err := s.ListReferrers(ctx, subject, []string{signatureType}, "", desc)
	if err != nil {
		return nil, err
	}
	for _, referrer := range list.Referrers {
		manifest, err := s.GetReferenceManifest(ctx, subject, referrer)
		if err != nil {
			return nil, err
		}
		for _, layer := range manifest.Blobs {
			blob, err := s.GetBlobContent(ctx, subject, layer.Digest)
			if err != nil {
				return nil, err
			}
			blobs = append(blobs, string(blob))
		}
	}
	return blobs, nil
}

func wantBlobs(t *testing.T, s *Store, subject common.Reference, want ...string) {
	t.Helper()
	got, err := verify(t.Context(), s, subject)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Fatalf("read %q, want %q", got, want)
	}
}

// wantError checks that err contains all of texts.
func wantError(t *testing.T, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not say %q", err, text)
		}
	}
}

func (f *fake) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.front.Certificate().Raw}))
}

func isKind(kind string) func(*http.Request) bool {
	return func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/"+kind) }
}

func descriptorOf(data []byte, mediaType string) ocispecs.ReferenceDescriptor {
	return ocispecs.ReferenceDescriptor{Descriptor: content.NewDescriptorFromBytes(mediaType, data)}
}
