package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/installation"
)

// checkAgain is the time between two looks, while what was just installed settles.
const checkAgain = 2 * time.Second

func newCheck() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the installation in this cluster, from a pod: Gatekeeper's Providers and Ratify's resources",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := rest.InClusterConfig()
			if err != nil {
				return fmt.Errorf("ratify check runs in a pod, as helm test does it: %w", err)
			}
			reader, err := installation.NewClient(api)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), wait)
			defer cancel()
			return checkUntilRight(ctx, reader, cmd.OutOrStdout())
		},
	}
	cmd.Flags().DurationVar(&wait, "timeout", 30*time.Second, "how long to look again while something is wrong")
	return cmd
}

// checkUntilRight looks until all is right, or ctx ends, and prints what it found last.
func checkUntilRight(ctx context.Context, reader client.Reader, out io.Writer) error {
	for {
		// A look has a deadline of its own for each call: it ends, and what it found is told, although ctx is over.
		found := installation.Check(context.WithoutCancel(ctx), reader)
		wrong := 0
		for _, f := range found {
			if f.Err != nil {
				wrong++
			}
		}
		if wrong > 0 {
			select {
			case <-ctx.Done():
			case <-time.After(checkAgain):
				continue
			}
		}
		for _, f := range found {
			switch {
			case f.Err != nil:
				fmt.Fprintf(out, "wrong  %s: %v\n", f.About, f.Err)
			case f.Note != "":
				fmt.Fprintf(out, "right  %s: %s\n", f.About, f.Note)
			default:
				fmt.Fprintf(out, "right  %s\n", f.About)
			}
		}
		if wrong > 0 {
			return errors.New("the installation is not right")
		}
		return nil
	}
}
