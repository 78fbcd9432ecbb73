package referrerstore

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ratify-project/ratify/pkg/common"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// strangersCA is a certificate authority that signed nothing here.
func strangersCA(t *testing.T) string {
	t.Helper()
	ca, err := signing.Root("Stranger")
	if err != nil {
		t.Fatal(err)
	}
	return ca.PEM()
}

// undetermined checks that err is no fact about an artifact.
func undetermined(t *testing.T, err error) {
	t.Helper()
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrMalformed) || errors.Is(err, ErrLimit) {
		t.Errorf("%v is taken for a fact", err)
	}
}

// private is one entry of registries with a certificate authority.
func private(host, ca string) any { return map[string]any{"host": host, "caBundle": ca} }

func TestPrivateCA(t *testing.T) {
	f := newFake(t)
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	otherHost := common.Reference{Path: "other.example.com/app", Digest: subject.Digest}
	stranger := strangersCA(t)
	for name, test := range map[string]struct {
		challenge  string
		registries []any
		subject    common.Reference
		want       []string // of the error; none: verified
	}{
		"the registry's":                {"", []any{private(registryHost, f.pem())}, subject, nil},
		"of a domain":                   {"", []any{private("*.example.com", f.pem())}, subject, nil},
		"another host's":                {"", []any{private(registryHost, f.pem())}, otherHost, []string{"other.example.com", "caBundle"}},
		"another port's":                {"", []any{private(registryHost+":5000", f.pem())}, subject, []string{registryHost, "caBundle"}},
		"another authority":             {"", []any{private(registryHost, stranger)}, subject, []string{registryHost, "caBundle"}},
		"the most specific counts":      {"", []any{private("*.example.com", f.pem()), private(registryHost, stranger)}, subject, []string{registryHost, "caBundle"}},
		"one that does not say":         {"", []any{private("*.example.com", f.pem()), map[string]any{"host": registryHost, "useHttp": false}}, subject, nil},
		"token service without its own": {`Bearer realm="https://` + tokenHost + `/token"`, []any{private(registryHost, f.pem())}, subject, []string{tokenHost, "caBundle"}},
		"token service with its own":    {`Bearer realm="https://` + tokenHost + `/token"`, []any{private(registryHost, f.pem()), private(tokenHost, f.pem())}, subject, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f.set(func() { f.challenge = test.challenge })
			s := f.storeWith(Options{Transport: f.dial(&http.Transport{})}, nil, "registries", test.registries)
			if test.want == nil {
				wantBlobs(t, s, test.subject, "signature")
				return
			}
			_, err := s.GetSubjectDescriptor(t.Context(), test.subject)
			wantError(t, err, test.want...)
			undetermined(t, err)
		})
	}
}

// at returns the subject at another registry.
func at(subject common.Reference, host string) common.Reference {
	_, repository, _ := strings.Cut(subject.Path, "/")
	return common.Reference{Path: host + "/" + repository, Digest: subject.Digest}
}

// A certificate authority that is configured for a registry on this machine is checked, although others are not there.
func TestPrivateCAOfThisMachine(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	host := f.front.Listener.Addr().String()
	o := Options{Transport: &http.Transport{}}
	wantBlobs(t, f.storeWith(o, nil, "registries", []any{private(host, f.pem())}), at(subject, host), "signature")
	_, err := f.storeWith(o, nil, "registries", []any{private(host, strangersCA(t))}).GetSubjectDescriptor(t.Context(), at(subject, host))
	wantError(t, err, host, "caBundle")
	undetermined(t, err)
}

func TestIPv6Loopback(t *testing.T) {
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here:", err)
	}
	f := newFake(t)
	f.challenge = ""
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	server := httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	server.Listener.Close()
	server.Listener = listener
	server.StartTLS()
	defer server.Close()
	wantBlobs(t, f.storeWith(Options{Transport: &http.Transport{}}, nil), at(subject, listener.Addr().String()), "signature")
}

// Names that only look local are verified like any other.
func TestNotLoopback(t *testing.T) {
	f := newFake(t)
	f.challenge = ""
	subject, _ := f.image("app", "v1")
	for _, host := range []string{"localhost.evil.com", "127.0.0.1.evil.com", "localhost-evil.com", "127.0.0.1evil.com"} {
		f.dialer[host+":5000"] = f.front.Listener.Addr().String()
		_, err := f.storeWith(Options{Transport: f.dial(&http.Transport{})}, nil).GetSubjectDescriptor(t.Context(), at(subject, host+":5000"))
		wantError(t, err, host, "certificate")
		undetermined(t, err)
	}
}

func TestPlainHTTP(t *testing.T) {
	f := newFake(t)
	f.challenge, f.password = `Basic realm="fake"`, "secret"
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	plain := httptest.NewServer(http.HandlerFunc(f.serve))
	defer plain.Close()
	const plainHost = "plain.example.com:5000"
	f.dialer[plainHost] = plain.Listener.Addr().String()
	only := []any{map[string]any{"host": plainHost, "useHttp": true}}

	wantBlobs(t, f.store(user("secret"), "registries", only), at(subject, plainHost), "signature")
	wantBlobs(t, f.store(user("secret"), "registries", only), subject, "signature") // by TLS
	wantBlobs(t, f.store(user("secret"), "useHttp", true), at(subject, plainHost), "signature")
	wantBlobs(t, f.store(user("secret"), "useHttp", true, "registries", []any{map[string]any{"host": registryHost, "useHttp": false}}), subject, "signature")

	f.set(func() { clear(f.headers) })
	for _, registries := range [][]any{{map[string]any{"host": "other.example.com", "useHttp": true}}, {map[string]any{"host": plainHost, "useHttp": false}}} {
		_, err := f.store(user("secret"), "registries", registries).GetSubjectDescriptor(t.Context(), at(subject, plainHost))
		wantError(t, err, plainHost, "useHttp")
		undetermined(t, err)
	}
	f.set(func() {
		for call := range f.headers {
			t.Errorf("%s came by plain HTTP that nobody asked for", call)
		}
	})
}

// Docker Hub is one registry under several names: docker.io in references, and the host that serves it.
func TestDockerHub(t *testing.T) {
	f := newFake(t)
	f.challenge, f.password = `Basic realm="fake"`, "secret"
	subject, desc := f.image("library/app", "v1")
	f.sign("library/app", desc, "signature")
	plain := httptest.NewServer(http.HandlerFunc(f.serve))
	defer plain.Close()
	f.dialer["registry-1.docker.io:80"] = plain.Listener.Addr().String()
	providers := []any{map[string]any{"name": "hub", "registries": []any{"index.docker.io"}}}
	for _, host := range []string{"docker.io", "registry-1.docker.io", "*.docker.io"} {
		s := f.store(user("secret"), "registries", []any{map[string]any{"host": host, "useHttp": true}}, "authProviders", providers)
		wantBlobs(t, s, at(subject, "docker.io"), "signature")
		wantBlobs(t, s, at(subject, "registry-1.docker.io"), "signature")
	}
	hub, _ := parsePattern("docker.io")
	for _, host := range []string{"auth.docker.io", "evil-docker.io", "docker.io:5000", "registry-1.docker.io.evil.com", "registry-1.docker.io:5000", "example.com"} {
		if hub.names(host) {
			t.Errorf("docker.io names %s", host)
		}
	}
}

// proxy is an HTTP proxy that wants a user and a password, and leads every host to the fake.
type proxy struct {
	*httptest.Server
	status atomic.Int32 // other than 0: of every answer
	tunnel atomic.Int32 // how many CONNECTs were let through
}

func (f *fake) proxy(t *testing.T) *proxy {
	p := &proxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch status := int(p.status.Load()); {
		case status != 0:
			w.WriteHeader(status)
		case r.Header.Get("Proxy-Authorization") != "Basic cHJveHktdXNlcjpwcm94eS1zZWNyZXQ=": // proxy-user:proxy-secret
			w.Header().Set("Proxy-Authenticate", "Basic")
			w.WriteHeader(http.StatusProxyAuthRequired)
		case r.Method != http.MethodConnect:
			f.serve(w, r)
		default:
			p.tunnel.Add(1)
			server, err := net.Dial("tcp", f.front.Listener.Addr().String())
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			w.WriteHeader(http.StatusOK)
			client, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			_, _ = io.Copy(client, server)
			client.Close()
		}
	}))
	t.Cleanup(func() {
		f.front.CloseClientConnections()
		p.Close()
	})
	return p
}

// through is a transport that goes through the proxy.
func (f *fake) through(address, password string) *http.Transport {
	t := f.transport()
	t.DialContext = nil
	t.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: address, User: url.UserPassword("proxy-user", password)})
	return t
}

func TestProxy(t *testing.T) {
	f := newFake(t)
	f.password = "secret"
	subject, desc := f.image("app", "v1")
	f.sign("app", desc, "signature")
	p := f.proxy(t)
	address := p.Listener.Addr().String()

	wantBlobs(t, f.storeWith(Options{Transport: f.through(address, "proxy-secret")}, user("secret")), subject, "signature")
	if p.tunnel.Load() == 0 {
		t.Error("nothing went through the proxy")
	}
	plain := []any{map[string]any{"host": registryHost, "useHttp": true}}
	for name, test := range map[string]struct {
		status            int
		address, password string
		want              []string
	}{
		"wrong password": {0, address, "wrong-proxy-secret", []string{"proxy " + address + " answered 407", "user and password in HTTPS_PROXY"}},
		"failing":        {http.StatusBadGateway, address, "proxy-secret", []string{"proxy " + address + " answered 502", "NO_PROXY"}},
		"forbidden":      {http.StatusForbidden, address, "proxy-secret", []string{"proxy " + address + " answered 403", "NO_PROXY"}},
		"down":           {0, "127.0.0.1:1", "proxy-secret", []string{"127.0.0.1:1", "connection refused", "HTTPS_PROXY"}},
	} {
		for _, registries := range []any{nil, plain} {
			if registries != nil && (test.status != 0 || test.address != address) {
				continue // an answer by plain HTTP does not tell whose it is
			}
			t.Run(fmt.Sprint(name, " ", registries != nil), func(t *testing.T) {
				p.status.Store(int32(test.status))
				s := f.storeWith(Options{Transport: f.through(test.address, test.password), timeout: forever}, user("secret"), "registries", registries)
				_, err := s.GetSubjectDescriptor(t.Context(), subject)
				wantError(t, err, append(test.want, registryHost)...)
				undetermined(t, err)
				if strings.Contains(err.Error(), "proxy-secret") || strings.Contains(err.Error(), "proxy-user") {
					t.Errorf("the proxy's credentials are in %q", err)
				}
			})
		}
	}
}
