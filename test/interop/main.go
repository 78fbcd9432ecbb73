// Command interop runs every signing toolchain and every feature of Ratify end to end, on loopback: real signing tools where
// there are some, real registries over sockets, and the real binary, which is asked with `ratify verify`. It prints a table with a
// row for each, and fails unless each row is ok. A row shows at least one image that is admitted and its negative twin, which is not.
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
	"slices"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

func main() {
	log.SetFlags(0)
	var t tools
	flag.StringVar(&t.ratify, "ratify", "bin/ratify", "the binary that verifies")
	flag.StringVar(&t.notation, "notation", "bin/notation", "the notation command")
	flag.StringVar(&t.cosign, "cosign", "bin/cosign", "the cosign command")
	flag.StringVar(&t.signingPlugin, "signing-plugin", "bin/notation-alibabacloud.secretmanager.plugin", "the Notation plugin that signs with KMS")
	flag.StringVar(&t.plugins, "plugins", "bin/plugins", "the folder of verifier plugins")
	only := flag.String("run", "", "run only rows whose signer and what they prove match this regular `expression`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := interop(ctx, t, *only); err != nil {
		log.Fatalf("interop: %v", err)
	}
}

// allRows are the rows of all files, in the order of the table.
func allRows() []row {
	return slices.Concat(alibabaRows, azureRows, skaRows, akeylessRows, ratifyDocsRows, trustRows, revocationRows, crowdRows,
		tenantRows, cosignRows, pluginRows, registriesRows, cloudsRows)
}

func interop(ctx context.Context, t tools, only string) (err error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	rows := slices.DeleteFunc(allRows(), func(r row) bool { return !pattern.MatchString(r.signer + ": " + r.proves) })
	if len(rows) == 0 {
		return fmt.Errorf("-run %s: no row matches", only)
	}
	for _, path := range []*string{&t.ratify, &t.notation, &t.cosign, &t.signingPlugin, &t.plugins} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "ratify-interop-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cloud, err := emulator.Start(emulator.Options{})
	if err != nil {
		return fmt.Errorf("start the emulated cloud: %w", err)
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()
	world, err := scenario.New(cloud)
	if err != nil {
		return err
	}
	return matrix{rows: rows, environment: func(i int) *environment {
		return &environment{tools: t, world: world, dir: filepath.Join(dir, fmt.Sprint(i))}
	}}.run(ctx, os.Stdout)
}
