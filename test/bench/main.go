// Command bench measures our binary and upstream's side by side: the same config.json, images and emulated cloud, in rounds that take turns. It
// writes a page with a table and plots. Its exit code says whether it ran; a target that is missed is in the table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/hosts"
)

const (
	// budget bounds a whole run.
	budget = 90 * time.Minute
	// collectSeldom is how much this program's heap, which holds tens of thousands of images, grows in percent before the collector takes cores away
	// from what is measured.
	collectSeldom = 400
)

// options are the command's flags.
type options struct {
	ours, upstream, slim string
	page                 string
	profiles             string
	run                  *regexp.Regexp
	quick                bool
}

func main() {
	log.SetFlags(log.Ltime)
	if len(os.Args) == 2 && os.Args[1] == referenceCommand {
		if err := referenceMain(os.Stdin, os.Stdout); err != nil {
			log.Fatalf("bench %s: %v", referenceCommand, err)
		}
		return
	}
	var o options
	flag.StringVar(&o.ours, "ratify", "bin/ratify", "our binary")
	flag.StringVar(&o.slim, "slim", "bin/ratify-slim", "our binary of the slim build, of which only the size is measured")
	flag.StringVar(&o.upstream, "upstream", "bin/upstream-ratify", "upstream's binary")
	flag.StringVar(&o.page, "page", "docs/benchmarks.md", "the page to write; its plots go into a folder of the same name")
	flag.StringVar(&o.profiles, "profiles", "", "write profiles of our code, which runs in this process then, to this folder, and measure nothing")
	run := flag.String("run", "", "measure only the scenarios whose IDs match this regular expression")
	flag.BoolVar(&o.quick, "quick", false, "few rounds and images: shows that everything runs, and no more")
	flag.Parse()
	debug.SetGCPercent(collectSeldom)
	var err error
	if o.run, err = regexp.Compile(*run); err != nil {
		log.Fatalf("bench: -run: %v", err)
	}
	for _, path := range []*string{&o.ours, &o.slim, &o.upstream} {
		if *path, err = filepath.Abs(*path); err != nil {
			log.Fatal(err)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	if err := bench(ctx, o); err != nil {
		log.Fatalf("bench: %v", err)
	}
}

func bench(ctx context.Context, o options) (err error) {
	b, err := newBencher(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if o.profiles != "" {
		return b.profile(ctx, o.profiles)
	}
	if err := hosts.Usable(ctx); err != nil {
		return err
	}
	p := page{quick: o.quick, started: time.Now()}
	for _, s := range slices.Concat(scenarios, sweeps) {
		if !o.run.MatchString(s.id) {
			continue
		}
		log.Printf("%s: %s", s.id, s.name)
		r, err := b.measure(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.id, err)
		}
		for _, row := range r.rows {
			log.Printf("  %-46s upstream %-24s ours %-24s %s", row.measure.name, row.upstream, row.ours, row.verdict())
		}
		p.results = append(p.results, r)
	}
	return p.write(o.page)
}
