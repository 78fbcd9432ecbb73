package acr

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// Registry is an instance's registry under its host names: authorization, and then the backend.
type Registry struct {
	service  *Service
	instance *instance
}

// Registry returns the registry that answers under a lower-case host name, or nil.
func (s *Service) Registry(host string) *Registry {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.byHost(host)
	if i == nil {
		return nil
	}
	return &Registry{service: s, instance: i}
}

// target is what a request of the registry API is about.
type target struct {
	repository string // empty: the registry as a whole
	kind       string // manifests, blobs, uploads, tags, referrers, catalog or base
	reference  string
}

// parseTarget returns the target of a path under /v2/. Repositories may have names such as "manifests", so that the kind is
// looked for from the end.
func parseTarget(path string) (target, bool) {
	rest, found := strings.CutPrefix(path, "/v2/")
	switch {
	case path == "/v2" || rest == "" && found:
		return target{kind: "base"}, true
	case rest == "_catalog":
		return target{kind: "catalog"}, true
	case !found:
		return target{}, false
	}
	for _, part := range []struct{ path, kind string }{
		{"/blobs/uploads/", "uploads"}, {"/manifests/", "manifests"}, {"/blobs/", "blobs"}, {"/tags/", "tags"}, {"/referrers/", "referrers"},
	} {
		i := strings.LastIndex(rest, part.path)
		if i > 0 && !strings.Contains(rest[i+len(part.path):], "/") {
			return target{repository: rest[:i], kind: part.kind, reference: rest[i+len(part.path):]}, true
		}
	}
	return target{}, false
}

// Action returns the method and the kind of target, such as "GET manifests".
func (g *Registry) Action(r *http.Request) string {
	t, ok := parseTarget(r.URL.Path)
	if !ok {
		return r.Method + " other"
	}
	return r.Method + " " + t.kind
}

// ServeHTTP lets a request through to the backend, or answers with a challenge (RFC 6750, section 3).
func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	t, ok := parseTarget(r.URL.Path)
	if !ok {
		registryError(w, http.StatusNotFound, "NOT_FOUND", "404 page not found")
		return
	}
	if problem := g.authorize(t, r); problem != "" {
		w.Header().Set("WWW-Authenticate", g.challenge(t, r, problem))
		registryError(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
		return
	}
	r = r.Clone(r.Context())
	r.Header.Del("Authorization")
	g.instance.backend.ServeHTTP(w, r)
}

// The reasons why a request is not let through. Two of them are the challenge's error parameter.
const (
	noToken           = "no token"
	invalidToken      = "invalid_token"
	insufficientScope = "insufficient_scope"
)

// authorize returns why the request's token does not allow it, or "".
func (g *Registry) authorize(t target, r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return noToken
	}
	if token == g.instance.bearer {
		return ""
	}
	b, valid := g.service.bearer(g.instance.ID, token)
	if !valid {
		return invalidToken
	}
	resource, actions := t.scope(r.Method)
	for _, action := range actions {
		if !slices.Contains(b.access[resource], action) {
			return insufficientScope
		}
	}
	return ""
}

// scope returns what a token must allow for a method on the target.
func (t target) scope(method string) (resource string, actions []string) {
	switch {
	case t.kind == "base":
		return "", nil
	case t.kind == "catalog":
		return "registry:catalog", []string{"*"}
	}
	switch method {
	case http.MethodGet, http.MethodHead:
		actions = []string{"pull"}
	case http.MethodDelete:
		actions = []string{"delete"}
	default:
		actions = []string{"pull", "push"}
	}
	return "repository:" + t.repository, actions
}

func (g *Registry) challenge(t target, r *http.Request, problem string) string {
	challenge := fmt.Sprintf("Bearer realm=%q,service=%q", g.realm(r), serviceName(g.instance.Region, g.instance.ID))
	if resource, actions := t.scope(r.Method); resource != "" {
		challenge += fmt.Sprintf(",scope=%q", resource+":"+strings.Join(actions, ","))
	}
	if problem != noToken {
		challenge += fmt.Sprintf(",error=%q", problem)
	}
	return challenge
}

// realm is the address of the token service. A client that came to the registry by address instead of through the proxy
// could not reach it under its name, and gets its address too.
func (g *Registry) realm(r *http.Request) string {
	at := TokenHost(g.instance.Region)
	if name, _, err := net.SplitHostPort(r.Host); err == nil && net.ParseIP(name) != nil {
		if direct, err := g.service.o.Direct(at); err == nil {
			at = direct
		}
	}
	return "https://" + at + tokenPath
}
