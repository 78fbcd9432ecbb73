package azure

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// tokenLife is that of access tokens.
const tokenLife = time.Hour

// login is Entra ID: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, with what clients ask before.
func (c *Cloud) login(w http.ResponseWriter, r *http.Request) {
	tenant := "https://" + LoginHost + "/" + TenantID
	switch {
	case strings.HasSuffix(r.URL.Path, "/discovery/instance"):
		answer(w, http.StatusOK, map[string]any{
			"tenant_discovery_endpoint": tenant + "/v2.0/.well-known/openid-configuration", "api-version": "1.1",
			"metadata": []any{map[string]any{"preferred_network": LoginHost, "preferred_cache": "login.windows.net", "aliases": []string{LoginHost}}},
		})
	case r.URL.Path == "/"+TenantID+"/v2.0/.well-known/openid-configuration":
		answer(w, http.StatusOK, map[string]any{
			"token_endpoint": tenant + "/oauth2/v2.0/token", "authorization_endpoint": tenant + "/oauth2/v2.0/authorize", "issuer": tenant + "/v2.0",
		})
	case r.URL.Path == "/"+TenantID+"/oauth2/v2.0/token" && r.Method == http.MethodPost:
		c.token(w, r)
	default:
		answer(w, http.StatusNotFound, map[string]any{"error": "not_found"})
	}
}

func (c *Cloud) token(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	deny := func(code, message string) {
		answer(w, http.StatusUnauthorized, map[string]any{"error": code, "error_description": message})
	}
	switch {
	case r.PostFormValue("grant_type") != "client_credentials" || r.PostFormValue("client_id") != ClientID:
		deny("unauthorized_client", "AADSTS700016: Application with identifier '"+r.PostFormValue("client_id")+"' was not found in the directory")
		return
	case r.PostFormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || r.PostFormValue("client_assertion") != c.assertion:
		deny("invalid_client", "AADSTS70021: No matching federated identity record found for presented assertion.")
		return
	}
	for _, scope := range strings.Fields(r.PostFormValue("scope")) {
		if audience, ok := strings.CutSuffix(scope, "/.default"); ok {
			answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": int(tokenLife.Seconds()), "ext_expires_in": int(tokenLife.Seconds()),
				"access_token": c.issue(audience)})
			return
		}
	}
	deny("invalid_scope", "AADSTS1002012: The provided value for scope is not valid.")
}

// issue needs c.mu.
func (c *Cloud) issue(audience string) string {
	token := "aad-" + rand.Text()
	c.access[token] = audience
	return token
}

// Metadata is the node's metadata service at http://169.254.169.254, which hands out tokens of managed identities:
// https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
func (c *Cloud) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		query := r.URL.Query()
		switch {
		case r.URL.Path != "/metadata/identity/oauth2/token" || r.Header.Get("Metadata") != "true":
			answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": "Required metadata header not specified"})
		case query.Get("client_id") != ClientID:
			answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_request", "error_description": "Identity not found"})
		default:
			seconds := strconv.Itoa(int(tokenLife.Seconds()))
			answer(w, http.StatusOK, map[string]any{"access_token": c.issue(query.Get("resource")), "client_id": ClientID, "expires_in": seconds,
				"expires_on": strconv.FormatInt(time.Now().Add(tokenLife).Unix(), 10), "resource": query.Get("resource"), "token_type": "Bearer"})
		}
	})
}
