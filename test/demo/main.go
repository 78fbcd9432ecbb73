// Command demo shows the main job: it starts an emulated cloud, pushes and signs images, serves with the real binary, asks as
// Gatekeeper does, and prints which image would be admitted, and why the others would not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

// budget bounds the whole demo.
const budget = 2 * time.Minute

func main() {
	log.SetFlags(0)
	binary := flag.String("ratify", "bin/ratify", "the binary to show")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	if err := demo(ctx, *binary); err != nil {
		log.Fatalf("demo: %v", err)
	}
}

func demo(ctx context.Context, binary string) (err error) {
	dir, err := os.MkdirTemp("", "ratify-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cloud, err := emulator.Start(emulator.Options{})
	if err != nil {
		return fmt.Errorf("start the emulated cloud: %w", err)
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()

	w, err := newWorld(cloud)
	if err != nil {
		return err
	}
	cases, err := w.cases(ctx)
	if err != nil {
		return fmt.Errorf("prepare the images: %w", err)
	}
	r, err := startRatify(ctx, binary, dir, w.config(), cloud)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.stop()) }()

	cloud.ResetCalls()
	wrong := 0
	fmt.Printf("%-28s %-13s %s\n", "IMAGE", "VERDICT", "SIGNER OR REASON")
	for _, c := range cases {
		if c.before != nil {
			c.before()
		}
		got, err := r.ask(ctx, c.image)
		if err != nil {
			return err
		}
		mark := ""
		if got.admitted != c.admitted || !strings.Contains(got.why, c.says) {
			wrong++
			mark = fmt.Sprintf("   <-- expected admitted=%t, saying %q", c.admitted, c.says)
		}
		verdict := "not admitted"
		if got.admitted {
			verdict = "admitted"
		}
		fmt.Printf("%-28s %-13s %s%s\n", c.name, verdict, shorten(got.why), mark)
	}
	printCalls(cloud)
	if wrong > 0 {
		return fmt.Errorf("%d of %d images got the wrong verdict", wrong, len(cases))
	}
	return nil
}

// maxReason keeps a reason readable in a table; the whole text is in the answer to Gatekeeper.
const maxReason = 230

func shorten(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxReason {
		return string(runes[:maxReason]) + "…"
	}
	return text
}

// printCalls tells what it took.
func printCalls(cloud *emulator.Cloud) {
	sts, cr, token, registry := 0, 0, 0, 0
	for key, n := range cloud.Calls() {
		host, _, _ := strings.Cut(key, " ")
		switch {
		case strings.HasPrefix(host, "sts"):
			sts += n
		case strings.HasPrefix(host, "cr.") || strings.HasPrefix(host, "cr-vpc."):
			cr += n
		case strings.HasPrefix(host, "dockerauth"):
			token += n
		default:
			registry += n
		}
	}
	fmt.Printf("\nCalls: %d to STS, %d to the Container Registry API, %d to the token service, %d to registries.\n", sts, cr, token, registry)
}
