// Package printable makes text that strangers wrote fit for logs, events and answers.
package printable

import (
	"strings"
	"unicode"
)

// MaxBytes limits what Line returns. Names in certificates and the like are whatever their makers wrote, of any length.
const MaxBytes = 2048

// Line returns text in one line, without unprintable characters and not longer than MaxBytes.
func Line(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if len(text) > MaxBytes {
		text = strings.ToValidUTF8(text[:MaxBytes-len("…")], "") + "…"
	}
	return text
}
