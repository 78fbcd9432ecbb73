// Package recovery keeps a panic in one part of the work from ending the process.
package recovery

import (
	"fmt"
	"log/slog"
	"runtime/debug"
)

// ToError, deferred, makes an error of a panic and logs where it was. A goroutine whose panics nobody else recovers begins with it.
func ToError(err *error) {
	if p := recover(); p != nil {
		slog.Error("panic", "panic", p, "stack", string(debug.Stack()))
		*err = fmt.Errorf("panic: %v; the log has the details", p)
	}
}
