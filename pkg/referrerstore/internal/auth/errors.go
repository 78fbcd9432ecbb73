package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode"

	"oras.land/oras-go/v2/registry/remote/errcode"
)

const (
	// maxErrorBytes bounds what is read of an error's body. Registries send a few hundred bytes.
	maxErrorBytes = 8 << 10
	// maxMessage bounds what of it is shown, in characters.
	maxMessage = 300
)

// ErrTokenService is wrapped by the error of a token service that failed, before its host. The registry was not asked.
var ErrTokenService = errors.New("token service")

// RefusedError says that a registry, or its token service, does not let us read a repository.
type RefusedError struct {
	Host        string // who refused
	StatusCode  int
	Message     string // its words
	Provider    string // whose credentials were refused; "" for anonymous access
	Explanation string // the provider's words: why these credentials, or why none
}

func (e *RefusedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s refused ", e.Host)
	if e.Provider == "" {
		b.WriteString("anonymous access")
	} else {
		fmt.Fprintf(&b, "the credentials of auth provider %s", e.Provider)
	}
	fmt.Fprintf(&b, " (%d %s)", e.StatusCode, http.StatusText(e.StatusCode))
	for _, text := range []string{e.Message, e.Explanation} {
		if text != "" {
			b.WriteString(": " + text)
		}
	}
	return b.String()
}

// message reads the error codes and texts of an answer in the form of the distribution specification. Other bodies, such as the
// HTML of a proxy, say nothing.
func message(body io.Reader) string {
	var answer struct {
		Errors errcode.Errors `json:"errors"`
	}
	if json.NewDecoder(io.LimitReader(body, maxErrorBytes)).Decode(&answer) != nil {
		return ""
	}
	var texts []string
	for _, e := range answer.Errors {
		texts = append(texts, strings.TrimSpace(e.Code+" "+e.Message))
	}
	text := []rune(strings.Join(texts, "; "))
	text = text[:min(len(text), maxMessage)]
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, string(text))
}
