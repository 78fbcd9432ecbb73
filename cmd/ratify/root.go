package main

import (
	"fmt"
	"log/slog"

	"github.com/ratify-project/ratify/pkg/featureflag"
	"github.com/spf13/cobra"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/proxyenv"
)

// Exit codes of ratify verify. Everything that keeps a command from its answer is exitUndetermined.
const (
	exitRefused      = 1
	exitUndetermined = 2
)

// exitCode ends the command with that code; what there is to say has been said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func newRoot() *cobra.Command {
	featureflag.InitFeatureFlagsFromEnv()
	var debug bool
	root := &cobra.Command{
		Use:               "ratify",
		Short:             "Verify the signatures of container images before they run",
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			usual := slog.LevelWarn // at a terminal the output tells
			if cmd.Name() == serveUse {
				usual = slog.LevelInfo
			}
			setFormat(cmd.ErrOrStderr(), "")
			setLevel(debug, usual)
			return proxyenv.Check()
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Usage() },
	}
	root.PersistentFlags().BoolVarP(&debug, "debug", "d", false, "log at level debug (else RATIFY_LOG_LEVEL, else info for serve and warning for the others)")
	root.AddCommand(newServe(), newVerify(), newDiscover(), newResolve(), newReferrer(), newCheck(), newVersion())
	return root
}

// target is the flags that say what a command is about and with which configuration.
type target struct {
	subject, configPath string
}

func (t *target) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&t.subject, "subject", "s", "", "image: registry/repository:tag or registry/repository@digest")
	cmd.Flags().StringVarP(&t.configPath, "config", "c", "", "configuration file (default: config.json in $RATIFY_CONFIG or ~/.ratify)")
	if err := cmd.MarkFlagRequired("subject"); err != nil {
		panic(err) // only for a flag that is not there
	}
}
