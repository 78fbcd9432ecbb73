package executable

import (
	"errors"
	"regexp"
	"strings"
	"unicode"
)

// limited keeps what is written until that is more than its limit.
type limited struct {
	kept     []byte
	limit    int
	exceeded func()
}

func (l *limited) Write(p []byte) (int, error) {
	if len(l.kept)+len(p) > l.limit {
		l.exceeded()
		return 0, errors.New("too much output")
	}
	l.kept = append(l.kept, p...)
	return len(p), nil
}

// tail keeps the end of what is written.
type tail struct {
	kept  []byte
	limit int
	cut   bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*t.limit { // not with each write, which would copy the whole tail for each line
		t.kept, t.cut = append(t.kept[:0], t.kept[len(t.kept)-t.limit:]...), true
	}
	return len(p), nil
}

// Bytes returns the end, behind an ellipsis if it is not all: the rest of a line must not pass for a line.
func (t *tail) Bytes() []byte {
	if !t.cut && len(t.kept) <= t.limit {
		return t.kept
	}
	return append([]byte("…"), t.kept[len(t.kept)-t.limit:]...)
}

// maxText bounds the text that is taken over from a program into an error, a report or a line of log.
const maxText = 2 << 10

// said quotes the end of an output for an error. What plugins built with Ratify's own kit have to say of failures is on stdout.
func said(o Output) string {
	// Much more than is kept, lest the cut leave the query of a URL without what shows that it is one.
	text := clean(string(o.Stderr) + "\n" + string(o.Stdout[max(0, len(o.Stdout)-maxStderr):]))
	if len(text) > maxText {
		text = "…" + strings.ToValidUTF8(text[len(text)-maxText:], "")
	}
	if text == "" {
		return "printed nothing"
	}
	return "said: " + text
}

// Clean returns text from a program on one line of at most 2 KiB, without control characters, the users and passwords of URLs, and their
// queries, which may hold the signatures that object storage takes for credentials.
func Clean(text string) string {
	text = clean(text[:min(len(text), 2*maxText)])
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

func clean(text string) string {
	text = escape.ReplaceAllString(text, "")
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	text = user.ReplaceAllString(strings.Join(strings.Fields(text), " "), "$1")
	return query.ReplaceAllString(text, "$1")
}

var (
	// escape matches what colours the text of a terminal (ECMA-48, section 5.4).
	escape = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]`)
	// user and query match these parts of a URL in a text.
	user  = regexp.MustCompile(`(?i)(https?://)[^\s"/?@]*@`)
	query = regexp.MustCompile(`(?i)(https?://[^\s"?]+)\?[^\s"]*`)
)
