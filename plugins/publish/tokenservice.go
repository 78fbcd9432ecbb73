package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// tokenPath stands before the paths of the token service among those of the registry, whose own begin with /v2/.
const tokenPath = "/.token-service"

// tokenService is the way to a registry whose token service has a private address. oras-go takes a challenge that names such an address for
// an attempt to reach what is in this network, unless it is the registry's own host. So the challenge is made to name the registry's, and what is
// sent there goes to the one host that the user has named.
type tokenService struct {
	registry string // host[:port]
	host     string // host[:port] of the token service
	next     http.RoundTripper
}

// newTokenService returns the way to a registry through next. host is as the registry's challenges name it.
func newTokenService(registry, host string, next http.RoundTripper) (tokenService, error) {
	if u, err := url.Parse("https://" + host); err != nil || u.Host != host || u.Hostname() == "" {
		return tokenService{}, fmt.Errorf("-token-service: %q is not host or host:port", host)
	}
	return tokenService{registry, host, next}, nil
}

// RoundTrip implements http.RoundTripper.
func (t tokenService) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != t.registry || req.URL.Scheme != "https" {
		return t.next.RoundTrip(req)
	}
	if path, ok := strings.CutPrefix(req.URL.Path, tokenPath+"/"); ok {
		req = req.Clone(req.Context())
		req.Host, req.URL.Host, req.URL.Path, req.URL.RawPath = t.host, t.host, "/"+path, ""
		return t.next.RoundTrip(req)
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	challenges := resp.Header["Www-Authenticate"]
	for i, challenge := range challenges {
		challenges[i] = strings.Replace(challenge, `realm="https://`+t.host+"/", `realm="https://`+t.registry+tokenPath+"/", 1)
	}
	return resp, nil
}
