// Command stock checks the plugins for a stock Ratify with upstream's own binary: it starts an emulated cloud, pushes and signs an image of each
// kind, has Ratify verify them with the plugins, each alone and both together, and measures what each way costs. It prints a line for each check.
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
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/hosts"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/report"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// budget bounds the whole run.
const budget = 10 * time.Minute

// programs are the paths of what is tested, and with what.
type programs struct {
	upstream, image, plugins, publish, signing string
}

func main() {
	log.SetFlags(0)
	if err := hosts.BecomeRoot(); err != nil {
		fmt.Println("skipped:", err)
		return
	}
	var p programs
	flag.StringVar(&p.upstream, "upstream", "bin/upstream-ratify", "upstream Ratify's binary")
	flag.StringVar(&p.image, "ratify", "bin/ratify", "the binary of our image, to compare the cost with")
	flag.StringVar(&p.plugins, "plugins", "bin/stock-plugins", "the folder of the plugins")
	flag.StringVar(&p.publish, "publish", "bin/publish", "the command that publishes plugins")
	flag.StringVar(&p.signing, "signing-plugin", "bin/notation-alibabacloud.secretmanager.plugin", "the Notation plugin to sign with")
	flag.Parse()
	for _, path := range []*string{&p.upstream, &p.image, &p.plugins, &p.publish, &p.signing} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			log.Fatal(err)
		}
		*path = absolute
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	if err := hosts.Usable(ctx); err != nil {
		fmt.Println("skipped:", err)
		return
	}
	r := &report.Report{}
	if err := run(ctx, p, r); err != nil {
		log.Fatalf("stock: %v", err)
	}
	r.End()
}

func run(ctx context.Context, p programs, r *report.Report) (err error) {
	dir, err := os.MkdirTemp("", "ratify-stock-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cloud, err := emulator.Start(emulator.Options{})
	if err != nil {
		return fmt.Errorf("start the emulated cloud: %w", err)
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()
	w, err := newWorld(ctx, cloud, dir, p)
	if err != nil {
		return fmt.Errorf("prepare the images: %w", err)
	}
	h, err := hosts.Forward(cloud, filepath.Join(dir, "hosts"), "sts.aliyuncs.com", "sts.cn-hangzhou.aliyuncs.com", "cr.cn-hangzhou.aliyuncs.com",
		"kms.cn-hangzhou.aliyuncs.com", "dockerauth.cn-hangzhou.aliyuncs.com", scenario.Demo.Host, scenario.Legacy.Host)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	e := &environment{programs: p, dir: dir, world: w, hosts: h, report: r}
	for _, part := range []func(context.Context) error{e.verdicts, e.served, e.undetermined, e.cache, e.mistakes, e.dynamic, e.cost} {
		cloud.WriteTokenFile(emulator.TokenOptions{})
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}
