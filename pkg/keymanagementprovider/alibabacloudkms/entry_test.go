package alibabacloudkms

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A panic while one entry is read is that entry's error.
func TestReadPanics(t *testing.T) {
	es := entries[int]{
		{label: "first", read: func(context.Context) ([]version[int], error) { panic("boom") }},
		{label: "second", read: func(context.Context) ([]version[int], error) { return []version[int]{{id: "v1"}}, nil }},
	}
	err := es.settle(es.read(t.Context()), time.Now(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "first: panic: boom") || strings.Contains(err.Error(), "second") || len(es[1].versions) != 1 {
		t.Errorf("%v; the second has %d versions", err, len(es[1].versions))
	}
}
