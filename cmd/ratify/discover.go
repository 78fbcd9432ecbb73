package main

import (
	"context"
	"fmt"
	"io"

	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/spf13/cobra"
	"github.com/xlab/treeprint"
)

// maxDiscoverDepth bounds how far referrers of referrers are followed: deeper graphs are mistakes or cycles.
const maxDiscoverDepth = 8

type discoverOptions struct {
	target
	artifactTypes []string
	flat          bool
}

func newDiscover() *cobra.Command {
	var o discoverOptions
	cmd := &cobra.Command{
		Use:     "discover",
		Short:   "Show what refers to an image: signatures, SBOMs and others",
		Example: "  ratify discover -c config.json -s demo-registry.cn-hangzhou.cr.aliyuncs.com/app/web:v1",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return discover(cmd.Context(), cmd.OutOrStdout(), o) },
	}
	o.addTo(cmd)
	cmd.Flags().StringArrayVarP(&o.artifactTypes, "artifactType", "t", nil, "show this artifact type only; may be repeated")
	cmd.Flags().BoolVar(&o.flat, "flat", false, "print a list in JSON instead of a tree")
	return cmd
}

// discovered is what one store has.
type discovered struct {
	Store      string                         `json:"storeName"`
	References []ocispecs.ReferenceDescriptor `json:"References,omitempty"`
}

func discover(ctx context.Context, w io.Writer, o discoverOptions) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	stores, subject, err := o.openStores(ctx)
	if err != nil {
		return err
	}
	tree := treeprint.NewWithRoot(subject.Path + "@" + subject.Digest.String())
	results := make([]discovered, len(stores))
	for i, store := range stores {
		results[i].Store = store.Name()
		results[i].References, err = follow(ctx, store, subject, o.artifactTypes, tree.AddBranch(store.Name()), maxDiscoverDepth)
		if err != nil {
			return err
		}
	}
	if o.flat {
		return printJSON(w, results)
	}
	_, err = fmt.Fprint(w, tree.String())
	return err
}

// follow lists the referrers of subject, and theirs.
func follow(ctx context.Context, store referrerstore.ReferrerStore, subject common.Reference, types []string, branch treeprint.Tree, depth int) ([]ocispecs.ReferenceDescriptor, error) {
	if depth == 0 {
		return nil, nil
	}
	var all []ocispecs.ReferenceDescriptor
	for token, more := "", true; more; {
		list, err := store.ListReferrers(ctx, subject, types, token, nil)
		if err != nil {
			return nil, fmt.Errorf("list the referrers of %s: %w", subject.Original, err)
		}
		for _, referrer := range list.Referrers {
			next := common.Reference{Path: subject.Path, Digest: referrer.Digest, Original: subject.Path + "@" + referrer.Digest.String()}
			nested, err := follow(ctx, store, next, types, branch.AddBranch(fmt.Sprintf("[%s]%s", referrer.ArtifactType, referrer.Digest)), depth-1)
			if err != nil {
				return nil, err
			}
			all = append(append(all, referrer), nested...)
		}
		token = list.NextToken
		more = token != ""
	}
	return all, nil
}
