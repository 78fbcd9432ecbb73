// Command ratify verifies the signatures of container images for Gatekeeper, and on the command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if exit, ok := errors.AsType[exitCode](err); ok {
		return int(exit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return exitUndetermined
	}
	return 0
}
