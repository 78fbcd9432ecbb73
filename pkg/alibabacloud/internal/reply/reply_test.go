package reply

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

func response(body io.Reader) *http.Response {
	return &http.Response{Status: "503 Service Unavailable", StatusCode: 503, Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		Body: io.NopCloser(body)}
}

func TestRead(t *testing.T) {
	if body, err := Read(response(strings.NewReader(` {"a":1}`))); err != nil || string(body) != ` {"a":1}` {
		t.Errorf("got %q, %v", body, err)
	}
	for body, want := range map[string]string{
		"<html>secret</html>": "text/html",
		"":                    "0 bytes",
		"null":                "503",
		"[]":                  "503",
		`{"a":1`:              "503",
	} {
		if _, err := Read(response(strings.NewReader(body))); !errors.Is(err, ErrNotJSON) || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v; want ErrNotJSON with %q and nothing of the body", body, err, want)
		}
	}
}

// endless is a body without end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.read += len(p)
	return len(p), nil
}

func TestReadIsBounded(t *testing.T) {
	body := &endless{}
	if _, err := Read(response(body)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if body.read > 2*MaxBody {
		t.Errorf("read %d bytes of an endless body", body.read)
	}
	broken := io.MultiReader(strings.NewReader(`{"a"`), iotestErr{})
	if _, err := Read(response(broken)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want the reader's error", err)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                       "plain",
		"two\r\nlines\x1b[31m":        "two lines [31m",
		"token tok-123 and key k-456": "token [redacted] and key [redacted]",
		"bad \xff":                    "bad ?",
	} {
		if got := Text(in, "tok-123", "", "k-456"); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
	if got := Text(strings.Repeat("é", 10000)); utf8.RuneCountInString(got) != maxText+1 {
		t.Errorf("%d runes, want %d", utf8.RuneCountInString(got), maxText+1)
	}
}
