// Package report is what commands print that check something: a line a check, and how many passed.
package report

import (
	"fmt"
	"os"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
)

// Report counts checks. The zero value is ready for use. It is not safe for concurrent use.
type Report struct{ passed, failed int }

// Check prints the line of a check. err is why it failed.
func (r *Report) Check(name string, err error) {
	if err != nil {
		r.failed++
		fmt.Printf("FAIL  %s: %s\n", name, printable.Line(err.Error()))
		return
	}
	r.passed++
	fmt.Printf("ok    %s\n", name)
}

// End prints the numbers, and ends the process with status 1 if a check failed.
func (r *Report) End() {
	fmt.Printf("\n%d passed, %d failed\n", r.passed, r.failed)
	if r.failed > 0 {
		os.Exit(1)
	}
}
