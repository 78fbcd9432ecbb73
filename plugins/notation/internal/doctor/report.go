package doctor

import (
	"fmt"
	"io"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
)

// Words that the lines of a report begin with.
const (
	ok   = "ok"
	warn = "warn" // nothing is broken yet
	fail = "FAIL"
	skip = "skip" // it could not be checked
)

// report prints one line a check, and counts.
type report struct {
	w              io.Writer
	checks, failed int
}

// line prints what was found out about a subject. Text from outside is made harmless for terminals.
func (r *report) line(word, subject, format string, args ...any) {
	if word != skip {
		r.checks++
	}
	if word == fail {
		r.failed++
	}
	fmt.Fprintf(r.w, "%-5s %-12s %s\n", word, subject, printable.Line(fmt.Sprintf(format, args...)))
}
