package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeplugin "github.com/ratify-project/ratify/pkg/referrerstore/plugin"
	"github.com/ratify-project/ratify/pkg/referrerstore/types"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/protocol"
)

// maxPage bounds the bytes of one page of referrers. Ratify v1.4 reads 64 KiB of a line.
const maxPage = 48 << 10

// arguments are those of all commands.
type arguments struct {
	artifactTypes []string
	nextToken     string
	digest        digest.Digest
}

// command is a command of the protocol.
type command struct {
	args []string // the arguments that it has; digest is required
	run  func(context.Context, referrerstore.ReferrerStore, common.Reference, arguments) ([]byte, error)
}

var commands = map[string]command{
	storeplugin.ListReferrersCommand:  {[]string{"nextToken", "artifactTypes"}, listReferrers},
	storeplugin.GetBlobContentCommand: {[]string{"digest"}, getBlob},
	storeplugin.GetRefManifestCommand: {[]string{"digest"}, getManifest},
	storeplugin.GetSubjectDescriptor:  {nil, getSubject},
}

// parse reads the arguments of the command.
func (c command) parse(args map[string]string) (arguments, error) {
	for name := range args {
		if !slices.Contains(c.args, name) {
			return arguments{}, fmt.Errorf("unknown argument %q", name)
		}
	}
	a := arguments{artifactTypes: strings.Split(args["artifactTypes"], ","), nextToken: args["nextToken"], digest: digest.Digest(args["digest"])}
	if slices.Contains(c.args, "digest") {
		if err := a.digest.Validate(); err != nil {
			return arguments{}, fmt.Errorf("digest %q: %w", a.digest, err)
		}
	}
	return a, nil
}

// listReferrers prints a page of the referrers.
func listReferrers(ctx context.Context, s referrerstore.ReferrerStore, subject common.Reference, a arguments) ([]byte, error) {
	var desc *ocispecs.SubjectDescriptor
	if subject.Digest != "" { // else the store asks what the tag is of
		desc = &ocispecs.SubjectDescriptor{Descriptor: ocispec.Descriptor{Digest: subject.Digest}}
	}
	list, err := s.ListReferrers(ctx, subject, a.artifactTypes, "", desc)
	if err != nil {
		return nil, err
	}
	start, err := startOf(a.nextToken, list.Referrers)
	if err != nil {
		return nil, err
	}
	return page(list.Referrers, start)
}

// startOf returns where the page of a token begins. A token has the number of the referrers before its page, and the digest of the last of these.
func startOf(token string, all []ocispecs.ReferenceDescriptor) (int, error) {
	if token == "" {
		return 0, nil
	}
	number, last, _ := strings.Cut(token, "@")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > len(all) || all[n-1].Digest.String() != last {
		return 0, fmt.Errorf("there is no page %q (any more): the referrers may have changed meanwhile; ask again", token)
	}
	return n, nil
}

// page returns the page of referrers that begins at start.
func page(all []ocispecs.ReferenceDescriptor, start int) ([]byte, error) {
	for n := len(all); ; n = start + (n-start)/2 {
		result := types.ReferrersResult{Referrers: all[start:n]}
		if n < len(all) {
			result.NextToken = fmt.Sprintf("%d@%s", n, all[n-1].Digest)
		}
		reply, err := protocol.Encode(result)
		if err != nil || len(reply) <= maxPage || n-start <= 1 {
			return reply, err
		}
	}
}

// getBlob prints the blob itself.
func getBlob(ctx context.Context, s referrerstore.ReferrerStore, subject common.Reference, a arguments) ([]byte, error) {
	return s.GetBlobContent(ctx, subject, a.digest)
}

// getManifest prints a referrer's manifest. Its type and size, which the store compares with, are not among the arguments: the registry is asked.
func getManifest(ctx context.Context, s referrerstore.ReferrerStore, subject common.Reference, a arguments) ([]byte, error) {
	desc, err := s.GetSubjectDescriptor(ctx, common.Reference{Path: subject.Path, Digest: a.digest, Original: subject.Path + "@" + a.digest.String()})
	if err != nil {
		return nil, err
	}
	manifest, err := s.GetReferenceManifest(ctx, subject, ocispecs.ReferenceDescriptor{Descriptor: desc.Descriptor})
	if err != nil {
		return nil, err
	}
	return protocol.Encode(manifest)
}

// getSubject prints what the subject refers to.
func getSubject(ctx context.Context, s referrerstore.ReferrerStore, subject common.Reference, _ arguments) ([]byte, error) {
	desc, err := s.GetSubjectDescriptor(ctx, subject)
	if err != nil {
		return nil, err
	}
	return protocol.Encode(desc)
}
