package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/e2e/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	o := options{}
	flag.StringVar(&o.cache, "cache", "", "`folder` of the cluster's programs (bin) and of the cluster itself (cluster)")
	flag.StringVar(&o.image, "image", "bin/image.tar", "`archive` with the image of Ratify, as make image writes it")
	flag.StringVar(&o.next, "next", "bin/image-next.tar", "`archive` with the slim image of the version that follows")
	flag.BoolVar(&o.smoke, "smoke", false, "run the themes of the smoke test only")
	flag.BoolVar(&o.keep, "keep", false, "keep the cluster after the checks, until interrupted")
	check := flag.Bool("check", false, "say only whether this machine can run the cluster")
	only := flag.String("run", "", "run the themes whose names match this `expression`")
	flag.Parse()
	var err error
	switch {
	case o.cache == "":
		err = errors.New("which cache? test/e2e/run.sh sets it")
	case *check:
		if err = cluster.Check(filepath.Join(o.cache, "cluster")); err == nil {
			err = cluster.Busy()
		}
	default:
		if o.only, err = regexp.Compile(*only); err == nil {
			err = run(ctx, o)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
}

type options struct {
	cache, image, next string
	smoke, keep        bool
	only               *regexp.Regexp
}

// theme is checks that belong together. Each leaves the installation as it found it: Ratify by the chart, with the releases' root trusted.
type theme struct {
	name  string
	smoke bool // part of the smoke test
	run   func(context.Context, *environment) error
}

// themes in the order in which they run.
var themes = []theme{
	{"install", true, checkInstall},
	{"admission", true, checkAdmission},
	{"trust", true, checkTrust},
	{"tenants", false, checkTenants},
	{"faults", false, checkFaults},
	{"tls", false, checkTLS},
	{"uninstall", true, checkUninstall},
	{"upgrade", false, checkUpgrade},
}

func run(ctx context.Context, o options) (err error) {
	began := time.Now()
	e, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.stop()) }()
	e.say("ready after %.0f s", time.Since(began).Seconds())
	for _, t := range themes {
		if o.smoke && !t.smoke || !o.only.MatchString(t.name) {
			continue
		}
		e.theme = t.name
		if err := t.run(ctx, e); err != nil { // the theme cannot go on; its checks so far have been counted
			e.fail(ctx, "goes to its end", err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	fmt.Printf("%d passed, %d failed, in %.0f s\n", e.passed, e.failed, time.Since(began).Seconds())
	if o.keep && ctx.Err() == nil {
		e.say("the cluster stays until it is interrupted: export KUBECONFIG=%s PATH=%s:$PATH", e.cluster.Kubeconfig(), filepath.Join(o.cache, "bin"))
		<-ctx.Done()
	}
	if e.failed > 0 {
		return fmt.Errorf("%d checks failed", e.failed)
	}
	return ctx.Err()
}

// gatekeeperChart returns where the Go module cache has Gatekeeper's chart, which is in its module.
func gatekeeperChart(ctx context.Context) (string, error) {
	const module = "github.com/open-policy-agent/gatekeeper/v3"
	folder, err := exec.CommandContext(ctx, "go", "list", "-C", "test/e2e/modules/gatekeeper", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("where is %s: %w", module, err)
	}
	return filepath.Join(strings.TrimSpace(string(folder)), "charts/gatekeeper"), nil
}
