package azure

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
)

// user goes with a refresh token, where a user and a password are asked for.
const user = "00000000-0000-0000-0000-000000000000"

// serveRegistry is https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md, with the registry behind it.
func (c *Cloud) serveRegistry(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/oauth2/exchange":
		c.exchange(w, r)
	case "/oauth2/token":
		c.registryToken(w, r)
	default:
		if !c.admits(r) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="https://%s/oauth2/token",service=%q`, RegistryHost, RegistryHost))
			registryError(w, "authentication required, visit https://aka.ms/acr/authorization for more information.")
			return
		}
		r = r.Clone(r.Context())
		r.Header.Del("Authorization")
		c.registry.ServeHTTP(w, r)
	}
}

func registryError(w http.ResponseWriter, message string) {
	answer(w, http.StatusUnauthorized, map[string]any{"errors": []any{map[string]any{"code": "UNAUTHORIZED", "message": message}}})
}

// exchange makes a refresh token of the registry of an access token for registries.
func (c *Cloud) exchange(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.Method != http.MethodPost || r.PostFormValue("grant_type") != "access_token" || r.PostFormValue("service") != RegistryHost ||
		r.PostFormValue("tenant") != TenantID || strings.TrimSuffix(c.access[r.PostFormValue("access_token")], "/") != registryAudience {
		registryError(w, "the access token is not for this registry")
		return
	}
	token := "refresh-" + rand.Text()
	c.refresh[token] = true
	answer(w, http.StatusOK, map[string]any{"refresh_token": token})
}

// registryToken makes a Bearer token for a scope of a refresh token, which comes as the password.
func (c *Cloud) registryToken(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if name, password, _ := r.BasicAuth(); name != user || !c.refresh[password] || r.FormValue("service") != RegistryHost {
		registryError(w, "the refresh token is not valid")
		return
	}
	token := "bearer-" + rand.Text()
	c.bearer[token] = r.FormValue("scope")
	answer(w, http.StatusOK, map[string]any{"access_token": token})
}

func (c *Cloud) admits(r *http.Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	parts := strings.Split(c.bearer[token], ":") // repository:name:actions
	return len(parts) == 3 && strings.HasPrefix(r.URL.Path, "/v2/"+parts[1]+"/") && strings.Contains(parts[2], "pull")
}
