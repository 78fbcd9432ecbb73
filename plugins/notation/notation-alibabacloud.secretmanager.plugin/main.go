// Command notation-alibabacloud.secretmanager.plugin signs container images with keys of Alibaba Cloud KMS, as a plugin of notation, and helps
// people to prepare that.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/notaryproject/notation-plugin-framework-go/cli"
	"github.com/notaryproject/notation-plugin-framework-go/plugin"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/commands"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/signing"
)

// version is set by the linker: a semantic version without "v".
var version = "0.0.0-dev"

// maxRequest limits what is read from stdin, in bytes. A request holds a descriptor with annotations: registries take manifests of at most 4 MiB.
const maxRequest = 8 << 20

// The commands of notation's protocol: those that are answered, and those of capabilities that are not claimed. All others are people's.
var (
	answered  = []plugin.Command{plugin.CommandGetMetadata, plugin.CommandDescribeKey, plugin.CommandGenerateSignature}
	unclaimed = []plugin.Command{plugin.CommandGenerateEnvelope, plugin.CommandVerifySignature}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends what does not heed the first
	command := plugin.Command("")
	if len(os.Args) == 2 {
		command = plugin.Command(os.Args[1])
	}
	switch {
	case slices.Contains(answered, command):
		// The framework takes os.Stderr away while a command runs, so that nothing but the error gets there.
		answer(ctx, signing.New(signing.Options{Version: version, Notices: os.Stderr}))
		return
	case slices.Contains(unclaimed, command):
		fmt.Fprint(os.Stderr, plugin.NewUnsupportedError(string(command)))
		os.Exit(1)
	}
	if err := commands.New(version).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func answer(ctx context.Context, p *signing.Plugin) {
	log.SetOutput(io.Discard) // such as of net/http, whose lines on stderr notation would take for the error
	if err := limitStdin(ctx); err != nil {
		fmt.Fprint(os.Stderr, plugin.NewGenericErrorf("reading the request: %v", err))
		os.Exit(1)
	}
	command, err := cli.New(p)
	if err != nil {
		panic(err) // p is not nil
	}
	command.Execute(ctx, os.Args)
}

// limitStdin ends stdin after maxRequest bytes, and with ctx: reading from a terminal or a pipe does not end by itself.
func limitStdin(ctx context.Context) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { w.Close() })
	go func(stdin io.Reader) {
		defer w.Close()
		io.Copy(w, io.LimitReader(stdin, maxRequest)) // what is missing then is told by whoever reads the request
	}(os.Stdin)
	os.Stdin = r
	return nil
}
