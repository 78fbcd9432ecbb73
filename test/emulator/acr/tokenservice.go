package acr

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// tokenPath is where the token service answers.
const tokenPath = "/auth"

// TokenHost returns the host name of a region's token service.
func TokenHost(region string) string { return "dockerauth." + region + ".aliyuncs.com" }

// TokenService turns temporary passwords into Bearer tokens, as https://distribution.github.io/distribution/spec/auth/token/
// describes.
type TokenService struct {
	service *Service
	region  string
}

// TokenService returns the token service of a region.
func (s *Service) TokenService(region string) *TokenService {
	return &TokenService{service: s, region: region}
}

// Action returns the method and "token".
func (t *TokenService) Action(r *http.Request) string { return r.Method + " token" }

// serviceName is what the token service calls an instance's registry.
func serviceName(region, instance string) string {
	return "registry.aliyuncs.com:" + region + ":" + instance
}

// ServeHTTP hands out a token. It knows no OAuth 2.0 (POST), as the real one does not. Without credentials the token is good
// for nothing.
func (t *TokenService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != tokenPath {
		registryError(w, http.StatusNotFound, "NOT_FOUND", "404 page not found")
		return
	}
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		registryError(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "The operation is unsupported.")
		return
	}
	id, found := strings.CutPrefix(r.URL.Query().Get("service"), serviceName(t.region, ""))
	i := t.service.inRegion(t.region, id)
	if !found || i == nil {
		registryError(w, http.StatusBadRequest, "UNSUPPORTED", "unknown service")
		return
	}
	granted := bearer{instance: id}
	if user, given, ok := r.BasicAuth(); ok {
		owner, valid := t.service.checkPassword(i, user, given)
		if !valid {
			registryError(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return
		}
		granted.access = access(r.URL.Query()["scope"], owner)
	}
	token := t.service.newBearer(granted)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token":        token,
		"access_token": token,
		"expires_in":   int(t.service.o.BearerLifetime / time.Second),
		"issued_at":    t.service.o.Now().UTC().Format(time.RFC3339),
	})
}

// access returns what is granted of the scopes asked for: all of it to an owner, and to others the pulling of repositories.
func access(scopes []string, owner bool) map[string][]string {
	granted := map[string][]string{}
	for _, scope := range strings.Fields(strings.Join(scopes, " ")) {
		colon := strings.LastIndex(scope, ":")
		if colon < 0 {
			continue
		}
		for action := range strings.SplitSeq(scope[colon+1:], ",") {
			if owner || strings.HasPrefix(scope, "repository:") && action == "pull" {
				granted[scope[:colon]] = append(granted[scope[:colon]], action)
			}
		}
	}
	return granted
}

// registryError answers with one error in the form of the registry API.
func registryError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]any{"code": code, "message": message, "detail": nil}}})
}
