package auth

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	dockerchallenge "github.com/docker/distribution/registry/client/auth/challenge"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/transport"
)

// scheme is how a registry wants to be asked.
type scheme int

const (
	open scheme = iota // nothing asked for
	basic
	bearer
)

// maxParameter bounds the realm and the service of a challenge, in bytes; the longest seen have about a hundred.
const maxParameter = 2 << 10

// challenge is what a registry asks for. The zero value is a registry that asks for nothing.
type challenge struct {
	scheme         scheme
	realm, service string
}

// parseChallenge reads the challenge of a 401 (RFC 7235 section 4.1 and the distribution specification's token authentication).
// It prefers Bearer when both schemes are offered, and fails when neither is, or when the realm must not be trusted.
func parseChallenge(resp *http.Response) (challenge, error) {
	var found challenge
	for _, c := range dockerchallenge.ResponseChallenges(resp) {
		switch strings.ToLower(c.Scheme) {
		case "bearer":
			found = challenge{scheme: bearer, realm: c.Parameters["realm"], service: c.Parameters["service"]}
			return found, checkRealm(found, resp.Request.URL)
		case "basic":
			found = challenge{scheme: basic}
		}
	}
	if found.scheme == open {
		return found, fmt.Errorf("%s answered 401 Unauthorized without a Basic or Bearer challenge", resp.Request.URL.Host)
	}
	return found, nil
}

// checkRealm tells whether credentials may go to the token service that the registry at u names. It must be reached over TLS like the
// registry itself, by name: an address is what a registry would use to make this process knock at the doors of others, and no
// certificate vouches for it. Names that resolve to private addresses are fine; token services of a VPC do.
func checkRealm(c challenge, u *url.URL) error {
	fail := func(why string) error {
		return fmt.Errorf("registry %s names a token service that is not to be trusted with credentials: %s", u.Host, why)
	}
	if len(c.realm) > maxParameter || len(c.service) > maxParameter {
		return fail("its realm or service is too long")
	}
	realm, err := url.Parse(c.realm)
	switch {
	case err != nil:
		return fail("its realm is no URL")
	case realm.Hostname() == "" || realm.User != nil:
		return fail(fmt.Sprintf("its realm %q is not an absolute URL", realm.Redacted()))
	case realm.Scheme != "https" && realm.Scheme != u.Scheme:
		return fail(fmt.Sprintf("its realm %q is not https", realm))
	}
	_, notAddress := netip.ParseAddr(realm.Hostname())
	if (notAddress == nil || transport.IsLoopback(realm.Hostname())) && !strings.EqualFold(realm.Hostname(), u.Hostname()) {
		return fail(fmt.Sprintf("its realm %q is an address, or this machine, and not the registry's own", realm))
	}
	return nil
}

// sameOrigin tells whether two URLs have the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && hostPort(a) == hostPort(b)
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}
