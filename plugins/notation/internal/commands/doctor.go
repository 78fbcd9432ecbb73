package commands

import (
	"github.com/spf13/cobra"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/doctor"
)

func newDoctor() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find out why signing does not work",
		Long: `Check, one line each, what signing needs: environment, credentials, endpoint, clock,
key, permissions and certificate. A line that begins with FAIL says what to do; then
the exit code is 1. With --id, KMS signs a random digest. Secrets are never printed.`,
		Example: "  " + Name + ` doctor --id key-hzz6… --plugin-config output_cert_dir=/etc/signing`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := t.config()
			if err != nil {
				return err
			}
			return doctor.Run(cmd.Context(), cmd.OutOrStdout(), t.id, config)
		},
	}
	t.addTo(cmd, "to check")
	return cmd
}
