package main

import (
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/sirupsen/logrus"
)

// logLevel is the level of all loggers of the process.
var logLevel slog.LevelVar

// setLevel sets the level of the log: debug if that is asked for, else that of RATIFY_LOG_LEVEL, else usual.
func setLevel(debug bool, usual slog.Level) {
	level := usual
	wanted := os.Getenv("RATIFY_LOG_LEVEL")
	named, err := logrus.ParseLevel(wanted) // the names that users of Ratify know
	if err == nil {
		level = toSlog(named)
	}
	if debug {
		level = slog.LevelDebug
	}
	logLevel.Set(level)
	if err != nil && wanted != "" {
		slog.Warn("RATIFY_LOG_LEVEL is not a level", "value", wanted, "levels", logrus.AllLevels, "used", level)
	}
}

// setFormat makes the log of format text (or ""), json or logstash the default of the process.
func setFormat(w io.Writer, format string) {
	options := &slog.HandlerOptions{Level: &logLevel}
	var handler slog.Handler
	switch format {
	case "json":
		handler = slog.NewJSONHandler(w, options)
	case "logstash":
		options.ReplaceAttr = logstashNames
		handler = slog.NewJSONHandler(w, options).WithAttrs([]slog.Attr{slog.String("@version", "1")})
	default:
		handler = slog.NewTextHandler(w, options)
	}
	slog.SetDefault(slog.New(handler))

	// Upstream's policy providers, verifiers and plugins log with logrus.
	logrus.SetOutput(io.Discard)
	logrus.SetLevel(logrus.DebugLevel)
	logrus.StandardLogger().ReplaceHooks(logrus.LevelHooks{})
	logrus.AddHook(forwarder{})
}

func logstashNames(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.TimeKey:
		return slog.String("@timestamp", a.Value.Time().UTC().Format(time.RFC3339Nano))
	case slog.MessageKey:
		a.Key = "message"
	}
	return a
}

// forwarder hands what is logged with logrus to slog.
type forwarder struct{}

func (forwarder) Levels() []logrus.Level { return logrus.AllLevels }

func (forwarder) Fire(entry *logrus.Entry) error {
	attrs := make([]any, 0, 2*len(entry.Data))
	for key, value := range entry.Data {
		attrs = append(attrs, key, value)
	}
	level := toSlog(entry.Level)
	if level == slog.LevelInfo {
		level = slog.LevelDebug // upstream tells at info what only its developers need
	}
	slog.Log(entry.Context, level, entry.Message, attrs...)
	return nil
}

func toSlog(level logrus.Level) slog.Level {
	switch level {
	case logrus.TraceLevel, logrus.DebugLevel:
		return slog.LevelDebug
	case logrus.InfoLevel:
		return slog.LevelInfo
	case logrus.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}
