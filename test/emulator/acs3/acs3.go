package acs3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Algorithm is the scheme's name, with which its Authorization headers begin.
const Algorithm = "ACS3-HMAC-SHA256"

var (
	// ErrIncomplete is wrapped by errors about an Authorization header that is malformed or covers too little of the request.
	ErrIncomplete = errors.New("incomplete signature")
	// ErrMismatch is wrapped by errors about a signature or a body hash that is not the request's.
	ErrMismatch = errors.New("signature mismatch")
)

// Authorization is a parsed Authorization header.
type Authorization struct {
	AccessKeyID   string
	SignedHeaders []string // lower-case, as sent
	Signature     string   // lower-case hex
}

// Parse reads the value of an Authorization header. Its errors wrap ErrIncomplete.
func Parse(header string) (Authorization, error) {
	scheme, fields, _ := strings.Cut(header, " ")
	if scheme != Algorithm {
		return Authorization{}, fmt.Errorf("%w: the scheme is %q, not %s", ErrIncomplete, scheme, Algorithm)
	}
	values := map[string]string{}
	for field := range strings.SplitSeq(fields, ",") {
		name, value, found := strings.Cut(strings.TrimSpace(field), "=")
		if _, repeated := values[name]; !found || repeated || value == "" {
			return Authorization{}, fmt.Errorf("%w: field %q is malformed, empty or repeated", ErrIncomplete, name)
		}
		values[name] = value
	}
	auth := Authorization{
		AccessKeyID:   values["Credential"],
		SignedHeaders: strings.Split(values["SignedHeaders"], ";"),
		Signature:     values["Signature"],
	}
	if len(values) != 3 || auth.AccessKeyID == "" || values["SignedHeaders"] == "" || auth.Signature == "" {
		return Authorization{}, fmt.Errorf("%w: the fields must be Credential, SignedHeaders and Signature", ErrIncomplete)
	}
	return auth, nil
}

// Verify checks that auth is the signature of r, whose body is given, with an access key's secret. The host and all x-acs-
// headers of r must be signed. Errors wrap ErrIncomplete or ErrMismatch.
func (a Authorization) Verify(r *http.Request, body []byte, secret string) error {
	if !slices.Contains(a.SignedHeaders, "host") {
		return fmt.Errorf("%w: header host is not signed", ErrIncomplete)
	}
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-acs-") && !slices.Contains(a.SignedHeaders, name) {
			return fmt.Errorf("%w: header %s is not signed", ErrIncomplete, name)
		}
	}
	hash := sha256.Sum256(body)
	if r.Header.Get("x-acs-content-sha256") != hex.EncodeToString(hash[:]) {
		return fmt.Errorf("%w: x-acs-content-sha256 is not the hash of the body", ErrMismatch)
	}
	if !hmac.Equal([]byte(Sign(CanonicalRequest(r, body, a.SignedHeaders), secret)), []byte(a.Signature)) {
		return ErrMismatch
	}
	return nil
}

// Sign returns the signature of a canonical request: the lower-case hex of an HMAC over the string to sign.
func Sign(canonicalRequest, secret string) string {
	hash := sha256.Sum256([]byte(canonicalRequest))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(Algorithm + "\n" + hex.EncodeToString(hash[:])))
	return hex.EncodeToString(mac.Sum(nil))
}

// CanonicalRequest returns the text of r that is signed. The header "host" is r.Host, with the port if the client sent one.
func CanonicalRequest(r *http.Request, body []byte, signedHeaders []string) string {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	var headers strings.Builder
	for _, name := range signedHeaders {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = r.Host
		}
		headers.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	hash := sha256.Sum256(body)
	return strings.Join([]string{
		r.Method,
		path,
		canonicalQuery(r.URL.Query()),
		headers.String(),
		strings.Join(signedHeaders, ";"),
		hex.EncodeToString(hash[:]),
	}, "\n")
}

func canonicalQuery(query url.Values) string {
	var pairs []string
	for name, values := range query {
		for _, value := range values {
			pairs = append(pairs, percentEncode(name)+"="+percentEncode(value))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// percentEncode encodes as RFC 3986 does, which leaves only letters, digits and -_.~ as they are.
func percentEncode(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}
