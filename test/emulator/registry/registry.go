package registry

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/acr"
)

// Registry is a registry that asks for a user and a password by HTTP Basic (RFC 7617).
type Registry struct {
	open  http.Handler
	check func(user, password string) bool
}

// New returns a registry that lets in whom check accepts; nil: everybody.
func New(check func(user, password string) bool) *Registry {
	return &Registry{open: acr.OpenRegistry(), check: check}
}

// Open is the registry without its lock, for who pushes.
func (g *Registry) Open() http.Handler { return g.open }

// Action returns the method and what is asked for, such as "GET manifests".
func (g *Registry) Action(r *http.Request) string {
	for _, kind := range []string{"manifests", "blobs", "referrers", "tags"} {
		if strings.Contains(r.URL.Path, "/"+kind+"/") {
			return r.Method + " " + kind
		}
	}
	return r.Method + " base"
}

// ServeHTTP lets a request through, or answers with a challenge.
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if g.check != nil {
		if user, password, ok := r.BasicAuth(); !ok || !g.check(user, password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
			return
		}
	}
	g.open.ServeHTTP(w, r)
}

// Server is a registry at an address of loopback.
type Server struct {
	*httptest.Server
	// Host is its host:port.
	Host string
	// CA is the certificate that it is verified with, in PEM; empty: it speaks plain HTTP.
	CA string
}

// Serve starts a registry, with TLS or without. End it with Close.
func (g *Registry) Serve(tls bool) *Server {
	s := &Server{Server: httptest.NewUnstartedServer(g)}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if tls {
		s.StartTLS()
		s.CA = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
	} else {
		s.Start()
	}
	s.Host = s.Listener.Addr().String()
	return s
}

// Direct is a transport whose requests reach a handler without any network, for who pushes.
func Direct(h http.Handler) http.RoundTripper { return direct{h} }

type direct struct{ http.Handler }

func (d direct) RoundTrip(req *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	if req.Body == nil {
		req = req.Clone(req.Context())
		req.Body = http.NoBody
	}
	d.ServeHTTP(recorder, req)
	resp := recorder.Result()
	resp.Request = req
	return resp, nil
}
