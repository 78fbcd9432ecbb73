package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

func TestLog(t *testing.T) {
	t.Cleanup(func() { setFormat(io.Discard, ""); setLevel(false, slog.LevelInfo) })
	log := func(format string) string {
		t.Helper()
		var w bytes.Buffer
		setFormat(&w, format)
		slog.Info("hello", "image", "a")
		logrus.WithField("k", "v").Warn("from upstream")
		return w.String()
	}
	setLevel(false, slog.LevelInfo)
	if text := log(""); !strings.Contains(text, "msg=hello image=a") || !strings.Contains(text, `level=WARN msg="from upstream" k=v`) {
		t.Errorf("text: %s", text)
	}
	for format, names := range map[string][]string{"json": {"time", "msg"}, "logstash": {"@timestamp", "message", "@version"}} {
		for line := range strings.Lines(log(format)) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if fields[name] == nil {
					t.Errorf("%s: no %s in %s", format, name, line)
				}
			}
		}
	}
	for level, want := range map[string]slog.Level{"": slog.LevelWarn, "debug": slog.LevelDebug, "trace": slog.LevelDebug,
		"info": slog.LevelInfo, "warning": slog.LevelWarn, "error": slog.LevelError, "nonsense": slog.LevelWarn} {
		t.Setenv("RATIFY_LOG_LEVEL", level)
		if setLevel(false, slog.LevelWarn); logLevel.Level() != want {
			t.Errorf("RATIFY_LOG_LEVEL=%q: %s, want %s", level, logLevel.Level(), want)
		}
	}
	var w bytes.Buffer
	setFormat(&w, "")
	t.Setenv("RATIFY_LOG_LEVEL", "nonsense")
	if setLevel(false, slog.LevelWarn); !strings.Contains(w.String(), "RATIFY_LOG_LEVEL") || !strings.Contains(w.String(), "nonsense") {
		t.Errorf("a level that does not exist is not told: %q", &w)
	}
	if setLevel(true, slog.LevelWarn); logLevel.Level() != slog.LevelDebug {
		t.Errorf("--debug: %s", logLevel.Level())
	}
}
