package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// answer returns a row's work: it was answered so, and expects that.
func answer(outcome, expected string, words ...string) func(context.Context, *environment) error {
	return func(_ context.Context, e *environment) error {
		return e.count(verdict{outcome, `{"error":"no signature"}`}, expected, "image", words)
	}
}

func both(a, b func(context.Context, *environment) error) func(context.Context, *environment) error {
	return func(ctx context.Context, e *environment) error { return errors.Join(a(ctx, e), b(ctx, e)) }
}

func TestMatrix(t *testing.T) {
	admitted, refused := answer("verified", "verified"), answer("refused", "refused", "no signature")
	tests := []struct {
		name string
		run  func(context.Context, *environment) error
		says string
	}{
		{"both", both(admitted, refused), "1            1  ok\n1 passed, 0 failed\n"},
		{"undetermined twin", both(admitted, answer("undetermined", "undetermined", "no signature")), "1            1  ok\n"},
		{"no twin", admitted, "FAILED: " + errOneSided.Error() + ": 1 admitted, 0 not\n0 passed, 1 failed\n"},
		{"only a twin", refused, "FAILED: " + errOneSided.Error() + ": 0 admitted, 1 not\n"},
		{"nothing", func(context.Context, *environment) error { return nil }, errOneSided.Error()},
		{"wrong verdict", answer("verified", "refused", "no signature"), "image is verified, want refused"},
		{"undetermined is not refused", answer("undetermined", "refused", "no signature"), "image is undetermined, want refused"},
		{"another reason", answer("refused", "refused", "no trust store"), `does not say "no trust store"`},
		{"no reason given", answer("refused", "refused"), "the row does not say why image is refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var table bytes.Buffer
			err := matrix{
				rows:        []row{{tt.name, "bookkeeping", tt.run}},
				environment: func(int) *environment { return &environment{dir: filepath.Join(t.TempDir(), "row")} },
			}.run(t.Context(), &table)
			if !strings.Contains(table.String(), tt.says) {
				t.Errorf("the table does not say %q:\n%s", tt.says, &table)
			}
			if ok := strings.HasSuffix(table.String(), "\n1 passed, 0 failed\n"); ok != (err == nil) {
				t.Errorf("error %v after\n%s", err, &table)
			}
		})
	}
}

// Rows that run at once still come in their order, and a failure does not hide the others.
func TestMatrixOrder(t *testing.T) {
	second := make(chan struct{})
	good := both(answer("verified", "verified"), answer("refused", "refused", "no signature"))
	m := matrix{
		rows: []row{
			{"first", "", func(ctx context.Context, e *environment) error { <-second; return good(ctx, e) }},
			{"second", "", func(context.Context, *environment) error { close(second); return errors.New("out of order") }},
			{"third", "", good},
		},
		environment: func(int) *environment { return &environment{dir: t.TempDir()} },
	}
	var table bytes.Buffer
	if err := m.run(t.Context(), &table); err == nil || err.Error() != "1 of 3 rows failed" {
		t.Errorf("error %v", err)
	}
	lines := strings.Split(strings.TrimSpace(table.String()), "\n")
	if len(lines) != 5 || !strings.HasPrefix(lines[1], "first") || !strings.HasSuffix(lines[2], "FAILED: out of order") ||
		!strings.HasPrefix(lines[3], "third") || lines[4] != "2 passed, 1 failed" {
		t.Errorf("table:\n%s", &table)
	}
}
