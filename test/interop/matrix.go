package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// rowTimeout bounds one row, with all the programs that it starts.
	rowTimeout = 3 * time.Minute
	// atOnce is how many rows run at a time: mostly they wait for processes.
	atOnce = 4
)

// row is a toolchain or a feature, and what shows that it works.
type row struct {
	signer string
	proves string
	run    func(ctx context.Context, e *environment) error
}

// matrix is the rows of a run, and what makes the environment of each.
type matrix struct {
	rows        []row
	environment func(i int) *environment
}

// run runs the rows and writes the table. It fails if a row does.
func (m matrix) run(ctx context.Context, w io.Writer) error {
	signer, proves := len("SIGNER"), len("PROVES")
	for _, r := range m.rows {
		signer, proves = max(signer, len(r.signer)), max(proves, len(r.proves))
	}
	line := func(columns ...any) {
		fmt.Fprintf(w, "%-*s  %-*s  %8v  %11v  %s\n", append([]any{signer, columns[0], proves}, columns[1:]...)...)
	}
	line("SIGNER", "PROVES", "ADMITTED", "NOT ADMITTED", "")

	results := make([]chan error, len(m.rows))
	environments := make([]*environment, len(m.rows))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i := range m.rows {
		results[i], environments[i] = make(chan error, 1), m.environment(i)
	}
	go func() {
		for i, r := range m.rows {
			group.Go(func() error {
				results[i] <- r.try(ctx, environments[i])
				return nil
			})
		}
	}()
	failed := 0
	for i, r := range m.rows {
		result := "ok"
		if err := <-results[i]; err != nil {
			failed++
			result = "FAILED: " + strings.ReplaceAll(err.Error(), "\n", "\n    ")
		}
		line(r.signer, r.proves, environments[i].admissions, environments[i].denials, result)
	}
	fmt.Fprintf(w, "%d passed, %d failed\n", len(m.rows)-failed, failed)
	if failed > 0 {
		return fmt.Errorf("%d of %d rows failed", failed, len(m.rows))
	}
	return nil
}

// errOneSided says that a row does not prove anything.
var errOneSided = errors.New("the row needs an image that is admitted and a twin that is not")

// try runs a row in an environment of its own.
func (r row) try(ctx context.Context, e *environment) error {
	ctx, cancel := context.WithTimeout(ctx, rowTimeout)
	defer cancel()
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return err
	}
	if err := r.run(ctx, e); err != nil {
		return err
	}
	if e.admissions == 0 || e.denials == 0 {
		return fmt.Errorf("%w: %d admitted, %d not", errOneSided, e.admissions, e.denials)
	}
	return nil
}
