package main

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/spf13/cobra"
)

func newReferrer() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "referrer",
		Short: "Show the content of what refers to an image",
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Usage() },
	}
	cmd.AddCommand(
		newShow("show-blob", "Print a blob", func(cmd *cobra.Command, store referrerstore.ReferrerStore, subject common.Reference, d digest.Digest) error {
			content, err := store.GetBlobContent(cmd.Context(), subject, d)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(content)
			return err
		}),
		newShow("show-manifest", "Print a manifest", func(cmd *cobra.Command, store referrerstore.ReferrerStore, subject common.Reference, d digest.Digest) error {
			desc, err := store.GetSubjectDescriptor(cmd.Context(), common.Reference{Path: subject.Path, Digest: d, Original: subject.Path + "@" + d.String()})
			if err != nil {
				return err
			}
			manifest, err := store.GetReferenceManifest(cmd.Context(), subject, ocispecs.ReferenceDescriptor{Descriptor: desc.Descriptor})
			if err != nil {
				return err
			}
			return printJSON(cmd.OutOrStdout(), manifest)
		}),
	)
	return cmd
}

// newShow returns a command that shows the content with a digest in the repository of the subject.
func newShow(use, short string, show func(*cobra.Command, referrerstore.ReferrerStore, common.Reference, digest.Digest) error) *cobra.Command {
	var t target
	var storeName, wanted string
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := digest.Parse(wanted)
			if err != nil {
				return fmt.Errorf("--digest %q: %w", wanted, err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), commandTimeout)
			defer cancel()
			cmd.SetContext(ctx)
			store, subject, err := t.openStore(ctx, storeName)
			if err != nil {
				return err
			}
			return show(cmd, store, subject, d)
		},
	}
	t.addTo(cmd)
	cmd.Flags().StringVar(&wanted, "digest", "", "digest of the content")
	cmd.Flags().StringVar(&storeName, "store", "oras", "name of the store")
	return cmd
}
