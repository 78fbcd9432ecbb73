package reply

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode"
)

// MaxBody bounds the body of a reply. The largest one asked for, a page of 100 instances, is about 60 KiB.
const MaxBody = 1 << 20

// maxText bounds what an error quotes of a service's message. Alibaba Cloud's messages are of one or two sentences.
const maxText = 512

// ErrNotJSON is wrapped by the error of a reply whose body is no JSON object, such as the HTML page of a proxy.
var ErrNotJSON = errors.New("not a JSON object")

// ErrTooLarge is wrapped by the error of a reply whose body exceeds MaxBody.
var ErrTooLarge = fmt.Errorf("more than %d bytes", MaxBody)

// ErrBrokeOff is wrapped by the error of a reply whose body ended early, or not in time.
var ErrBrokeOff = errors.New("broke off")

// Read returns the body of resp, which must be a JSON object of at most MaxBody bytes. It does not close the body.
func Read(resp *http.Response) ([]byte, error) {
	body, err := Bounded(resp)
	if err != nil {
		return nil, err
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil || object == nil {
		return nil, Foreign(resp, len(body), ErrNotJSON)
	}
	return body, nil
}

// Bounded returns the body of resp, of whatever kind, of at most MaxBody bytes. It does not close the body.
func Bounded(resp *http.Response) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	if err != nil {
		return nil, fmt.Errorf("the reply (%s) %w after %d bytes: %w", resp.Status, ErrBrokeOff, len(body), err)
	}
	if len(body) > MaxBody {
		return nil, fmt.Errorf("the reply (%s) is %w", resp.Status, ErrTooLarge)
	}
	return body, nil
}

// Foreign returns the error, wrapping why, of a reply whose body of size bytes is not of the kind that the service answers with.
func Foreign(resp *http.Response, size int, why error) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "" {
		kind = "no content type"
	}
	return fmt.Errorf("the reply (%s, %s, %d bytes) is %w; it may come from a proxy on the way instead of the service", resp.Status, Text(kind), size, why)
}

// Text makes text of a service fit for an error or a log: on one line, printable, not too long, and without the secrets,
// which some services repeat when they complain about a signature.
func Text(s string, secrets ...string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(s); len(runes) > maxText {
		s = string(runes[:maxText]) + "…"
	}
	return s
}
