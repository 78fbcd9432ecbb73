// Command notation-alibabacloud.secretmanager.plugin signs container images with keys of Alibaba Cloud KMS, as a plugin of notation, and helps
// people to prepare that.
package main

import (
	"context"
	"fmt"
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

// The commands of notation's protocol: those that are answered, and those of capabilities that are not claimed. All others are people's.
var (
	answered  = []plugin.Command{plugin.CommandGetMetadata, plugin.CommandDescribeKey, plugin.CommandGenerateSignature}
	unclaimed = []plugin.Command{plugin.CommandGenerateEnvelope, plugin.CommandVerifySignature}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
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
	command, err := cli.New(p)
	if err != nil {
		panic(err) // p is not nil
	}
	command.Execute(ctx, os.Args)
}
