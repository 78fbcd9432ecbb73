package protocol

import (
	"io"
	"log"
	"log/slog"
	"strings"

	"github.com/sirupsen/logrus"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
)

// logTo sends the warnings and errors of this process to w, in the form that Ratify takes for a plugin's log. All else would be told for each
// run.
func logTo(w io.Writer) {
	w = lines{w}
	slog.SetDefault(slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{} // Ratify writes its own
		}
		return a
	}})))
	log.SetOutput(w) // of net/http
	log.SetFlags(0)
	logrus.SetOutput(w) // of what is Ratify's in this process
	logrus.SetLevel(logrus.WarnLevel)
	logrus.SetFormatter(&logrus.TextFormatter{DisableTimestamp: true, DisableColors: true})
}

// lines writes "WARN: …" where loggers write "level=WARN …", no braces, lest Ratify take a line for a part of the reply, and no long lines,
// which would end its reading.
type lines struct{ to io.Writer }

var withoutBraces = strings.NewReplacer("{", "(", "}", ")")

// Write takes one line, as loggers write.
func (l lines) Write(p []byte) (int, error) {
	line := string(p)
	if rest, ok := strings.CutPrefix(line, "level="); ok {
		level, text, _ := strings.Cut(rest, " ")
		line = level + ": " + text
	}
	if _, err := withoutBraces.WriteString(l.to, printable.Line(strings.TrimSuffix(line, "\n"))+"\n"); err != nil {
		return 0, err
	}
	return len(p), nil
}
