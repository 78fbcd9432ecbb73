package executable

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
)

// maxLines bounds the lines of one run that go to our log: whoever makes an artifact may decide how much a program has to say of it.
const maxLines = 50

// prefix and level match how lines name their level: "WARN: …", as the logger of Ratify's kit for plugins writes, and logrus' level=warning,
// which Ratify's store inside a plugin uses.
var (
	prefix = regexp.MustCompile(`(?i)^(debug|info|warn|warning|error|fatal)\b:?\s*`)
	level  = regexp.MustCompile(`\blevel=(trace|debug|info|warning|error|fatal|panic)\b`)
)

// Log writes the lines of a program's log to log, each with its own level. Lines that name none are of level info. Of many, the last are
// written.
func Log(ctx context.Context, log *slog.Logger, plugin string, lines []string) {
	if len(lines) > maxLines {
		log.Log(ctx, slog.LevelDebug, "a plugin's log is too long: its beginning is left out", "plugin", plugin)
		lines = lines[len(lines)-maxLines:]
	}
	for _, line := range lines {
		at := slog.LevelInfo
		if m := prefix.FindStringSubmatch(line); m != nil {
			at, line = levelOf(m[1]), line[len(m[0]):]
		} else if m := level.FindStringSubmatch(line); m != nil {
			at = levelOf(m[1])
		}
		log.Log(ctx, at, Clean(line), "plugin", plugin)
	}
}

func levelOf(word string) slog.Level {
	switch strings.ToLower(word) {
	case "trace", "debug":
		return slog.LevelDebug
	case "warn", "warning":
		return slog.LevelWarn
	case "error", "fatal", "panic":
		return slog.LevelError
	}
	return slog.LevelInfo
}
