package referrerstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/auth"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/transport"
)

var (
	// ErrNotFound says that the registry was asked and does not have the repository, tag, manifest or blob.
	ErrNotFound = errors.New("not found in the registry")
	// ErrMalformed and ErrLimit are facts about an artifact that was read: asking again will not help. All other errors of a
	// Store but ErrConfig mean that it could not find out, or not yet.
	ErrMalformed = artifact.ErrMalformed
	ErrLimit     = artifact.ErrLimit
	// ErrConfig says that a store's configuration is wrong.
	ErrConfig = errors.New("wrong configuration of the store")
)

// Error is a failure of one operation of a Store.
type Error struct {
	Op         string // what was tried, for example "resolving"
	Registry   string // host[:port]
	Reference  string // of the subject, or of the part of it that was to be read
	StatusCode int    // the answer's HTTP status; 0 if there was no answer, or it was not the reason
	Err        error
}

// Error says what failed, on what, why and what to do. It holds no credentials, tokens or signed URLs.
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %s", e.Op, e.Reference, reason(e.Err))
	if advice := e.remedy(); advice != "" {
		text += ": " + advice
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// fail makes an Error of err, unless it is one already.
func fail(op string, r reference, err error) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return err
	}
	e := &Error{Op: op, Registry: r.registry, Reference: r.String(), Err: err}
	if refused := (*auth.RefusedError)(nil); errors.As(err, &refused) {
		e.StatusCode = refused.StatusCode
	} else if answer := (*errcode.ErrorResponse)(nil); errors.As(err, &answer) {
		e.StatusCode = answer.StatusCode
	}
	if errors.Is(err, errdef.ErrNotFound) || e.StatusCode == http.StatusNotFound {
		e.StatusCode = http.StatusNotFound
		e.Err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return e
}

// reason words an error. Errors of net/http and oras-go quote whole URLs, which after a redirect may carry a signature.
func reason(err error) string {
	if errors.Is(err, ErrNotFound) {
		return ErrNotFound.Error()
	}
	if answer := (*errcode.ErrorResponse)(nil); errors.As(err, &answer) {
		text := fmt.Sprintf("%s answered %d %s", answer.URL.Host, answer.StatusCode, http.StatusText(answer.StatusCode))
		if len(answer.Errors) > 0 {
			text += ": " + truncate(answer.Errors.Error())
		}
		return text
	}
	text := err.Error()
	if request := (*url.Error)(nil); errors.As(err, &request) {
		host := "request"
		if u, err := url.Parse(request.URL); err == nil {
			host = u.Host
		}
		text = strings.Replace(text, request.Error(), host+": "+request.Err.Error(), 1)
	}
	return query.ReplaceAllString(text, "$1")
}

// query matches the query of a URL in a text.
var query = regexp.MustCompile(`(https?://[^\s"?]+)\?[^\s"]*`)

// remedy says what to do about the failure, if the error itself does not.
func (e *Error) remedy() string {
	var (
		unknownAuthority x509.UnknownAuthorityError
		wrongHost        x509.HostnameError
		badCertificate   *tls.CertificateVerificationError
		dns              *net.DNSError
		refused          *auth.RefusedError
		proxy            *transport.ProxyError
		connection       *net.OpError
	)
	switch {
	case errors.Is(e.Err, authprovider.ErrNotCovered), errors.Is(e.Err, errProvider), errors.Is(e.Err, ErrLimit), errors.Is(e.Err, ErrMalformed):
		return ""
	case errors.As(e.Err, &proxy) && proxy.StatusCode == http.StatusProxyAuthRequired:
		return "check the user and password in HTTPS_PROXY or HTTP_PROXY of this pod"
	case errors.As(e.Err, &proxy), errors.As(e.Err, &connection) && connection.Op == "proxyconnect":
		return "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY of this pod, and that the proxy lets it through"
	case errors.As(e.Err, &refused) && refused.Provider == "":
		return "configure an auth provider that covers " + e.Registry + ", or check the repository's name"
	case errors.As(e.Err, &refused):
		return "check that these credentials may pull the repository, and its name"
	case errors.Is(e.Err, ErrNotFound):
		return "check the name, and that it was pushed to this registry"
	case e.StatusCode == http.StatusTooManyRequests:
		return "the registry limits requests; the next try may succeed"
	case e.StatusCode >= http.StatusInternalServerError:
		return "the registry, or a proxy before it, is failing; the next try may succeed"
	case errors.As(e.Err, &unknownAuthority):
		return "set caBundle, of the store or of the host in registries[], to its certificate authority"
	case errors.As(e.Err, &wrongHost), errors.As(e.Err, &badCertificate):
		return "check the registry's certificate, and the host name in the image reference"
	case errors.As(e.Err, &dns):
		return "check the host name in the image reference, this pod's DNS, and its proxy settings"
	case strings.Contains(e.Err.Error(), "server gave HTTP response to HTTPS client"):
		return "the registry does not use TLS: set useHttp, of the store or of the host in registries[], if that is meant"
	case errors.Is(e.Err, context.Canceled):
		return ""
	case errors.Is(e.Err, context.DeadlineExceeded), isTimeout(e.Err):
		return "check that it can be reached from this pod (network policy, proxy, VPC access control)"
	}
	return ""
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
