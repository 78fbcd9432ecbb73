package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// Set with -ldflags by the Makefile.
var (
	version = "dev"
	commit  = "unknown"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Show the version, the commit and the Go version of this binary",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			fmt.Fprintf(cmd.OutOrStdout(), "Version:    %s\nGit commit: %s\nGo version: %s\n", version, commit, runtime.Version())
		},
	}
}
