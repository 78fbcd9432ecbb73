// Command demo shows the main job: it starts an emulated cloud, pushes images, signs them with KMS through the real Notation plugin, serves with
// the real binary, which takes its trust anchors from KMS, asks as Gatekeeper does, and prints which image would be admitted, and why the others would not.
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
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// budget bounds the whole demo.
const budget = 2 * time.Minute

func main() {
	log.SetFlags(0)
	binary := flag.String("ratify", "bin/ratify", "the binary to show")
	plugin := flag.String("plugin", "bin/notation-alibabacloud.secretmanager.plugin", "the Notation plugin to sign with")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	if err := demo(ctx, *binary, *plugin); err != nil {
		log.Fatalf("demo: %v", err)
	}
}

func demo(ctx context.Context, binary, plugin string) (err error) {
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

	w, err := scenario.New(cloud)
	if err != nil {
		return err
	}
	k, err := newKMS(ctx, w, dir, plugin)
	if err != nil {
		return fmt.Errorf("prepare KMS: %w", err)
	}
	cases, err := cases(ctx, w, k.cases)
	if err != nil {
		return fmt.Errorf("prepare the images: %w", err)
	}
	config, err := k.config()
	if err != nil {
		return err
	}
	cloud.ResetCalls()
	r, err := startRatify(ctx, binary, dir, config, cloud)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.stop()) }()

	wrong := 0
	printRow("IMAGE", "VERDICT", "SIGNER OR REASON")
	for _, c := range cases {
		if c.before != nil {
			c.before()
		}
		got, err := r.ask(ctx, c.image)
		if err != nil {
			return err
		}
		if got.admitted != c.admitted || !strings.Contains(got.why, c.says) {
			wrong++
			got.why += fmt.Sprintf(" <-- WRONG: expected admitted=%t, saying %q", c.admitted, c.says)
		}
		verdict := "not admitted"
		if got.admitted {
			verdict = "admitted"
		}
		printRow(c.name, verdict, got.why)
	}
	printCalls(cloud)
	if wrong > 0 {
		return fmt.Errorf("%d of %d images got the wrong verdict", wrong, len(cases))
	}
	return nil
}

// The columns of the table. A reason goes on below itself; the whole text is in the answer to Gatekeeper.
const (
	nameWidth, verdictWidth, reasonWidth = 26, 14, 100
	maxLines                             = 8
)

func printRow(name, verdict, reason string) {
	for i, line := range wrap(reason, reasonWidth) {
		if i == maxLines {
			fmt.Printf("%*s…\n", nameWidth+verdictWidth, "")
			return
		}
		fmt.Printf("%-*s%-*s%s\n", nameWidth, name, verdictWidth, verdict, line)
		name, verdict = "", ""
	}
}

// wrap breaks text into lines of at most width characters, between words where that can be.
func wrap(text string, width int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		if *last != "" && len(*last)+1+len(word) > width {
			lines = append(lines, word)
			continue
		}
		*last = strings.TrimSpace(*last + " " + word)
	}
	return lines
}

// printCalls tells what it took.
func printCalls(cloud *emulator.Cloud) {
	sts, cr, kms, token, registry := 0, 0, 0, 0, 0
	for key, n := range cloud.Calls() {
		host, _, _ := strings.Cut(key, " ")
		switch {
		case strings.HasPrefix(host, "sts"):
			sts += n
		case strings.HasPrefix(host, "cr.") || strings.HasPrefix(host, "cr-vpc."):
			cr += n
		case strings.HasPrefix(host, "kms."):
			kms += n
		case strings.HasPrefix(host, "dockerauth"):
			token += n
		default:
			registry += n
		}
	}
	fmt.Printf("\nCalls: %d to STS, %d to KMS, %d to the Container Registry API, %d to the token service, %d to registries.\n", sts, kms, cr, token, registry)
}
