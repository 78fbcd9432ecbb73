package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newResolve() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:     "resolve",
		Short:   "Print the digest that a tag points to",
		Example: "  ratify resolve -c config.json -s demo-registry.cn-hangzhou.cr.aliyuncs.com/app/web:v1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), commandTimeout)
			defer cancel()
			_, subject, err := t.openStores(ctx)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), subject.Digest)
			return nil
		},
	}
	t.addTo(cmd)
	return cmd
}
