package commands

import "github.com/spf13/cobra"

// Name is that of the plugin's executable.
const Name = "notation-alibabacloud.secretmanager.plugin"

// New returns the commands, with the plugin's version. The caller prints their error.
func New(version string) *cobra.Command {
	root := &cobra.Command{
		Use:   Name,
		Short: "Sign with keys of Alibaba Cloud KMS that never leave it",
		Long: `Sign with keys of Alibaba Cloud KMS that never leave it.

notation runs this program as its plugin:

  notation sign --plugin alibabacloud.secretmanager.plugin --id KEY IMAGE@DIGEST

The commands below are for people. They take the same environment variables and
the same --plugin-config as notation sign.`,
		Version:           version,
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.NoArgs,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newCertificate(), newKey(), newDoctor())
	return root
}
