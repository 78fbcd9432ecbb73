package notation

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/notaryproject/notation-go/log"
)

// debugLogger hands notation-go's log to slog at level debug, whatever level it has there: what matters of it is in the result.
type debugLogger struct {
	ctx context.Context
	log *slog.Logger
}

var _ log.Logger = debugLogger{}

func (l debugLogger) print(args []any) {
	if l.log.Enabled(l.ctx, slog.LevelDebug) {
		l.log.DebugContext(l.ctx, "notation: "+fmt.Sprint(args...))
	}
}

func (l debugLogger) printf(format string, args []any) {
	if l.log.Enabled(l.ctx, slog.LevelDebug) {
		l.log.DebugContext(l.ctx, "notation: "+fmt.Sprintf(format, args...))
	}
}

func (l debugLogger) println(args []any) {
	if l.log.Enabled(l.ctx, slog.LevelDebug) {
		l.log.DebugContext(l.ctx, "notation: "+strings.TrimSpace(fmt.Sprintln(args...)))
	}
}

func (l debugLogger) Debug(args ...any)                 { l.print(args) }
func (l debugLogger) Debugf(format string, args ...any) { l.printf(format, args) }
func (l debugLogger) Debugln(args ...any)               { l.println(args) }
func (l debugLogger) Info(args ...any)                  { l.print(args) }
func (l debugLogger) Infof(format string, args ...any)  { l.printf(format, args) }
func (l debugLogger) Infoln(args ...any)                { l.println(args) }
func (l debugLogger) Warn(args ...any)                  { l.print(args) }
func (l debugLogger) Warnf(format string, args ...any)  { l.printf(format, args) }
func (l debugLogger) Warnln(args ...any)                { l.println(args) }
func (l debugLogger) Error(args ...any)                 { l.print(args) }
func (l debugLogger) Errorf(format string, args ...any) { l.printf(format, args) }
func (l debugLogger) Errorln(args ...any)               { l.println(args) }
