package network

import "net/http"

// LockedProxy is the proxy behind a lock: who is not let in gets 407 (RFC 9110, section 15.5.8).
func (n *Network) LockedProxy(allow func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allow(r) {
			w.Header().Set("Proxy-Authenticate", `Basic realm="proxy"`)
			http.Error(w, "the proxy wants a user and a password", http.StatusProxyAuthRequired)
			return
		}
		n.serveProxy(w, r)
	})
}
