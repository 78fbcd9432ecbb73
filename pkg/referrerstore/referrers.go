package referrerstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	upstream "github.com/ratify-project/ratify/pkg/referrerstore"
	"golang.org/x/sync/errgroup"
	"oras.land/oras-go/v2/errdef"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/recovery"
)

const (
	listing = "listing the referrers of"
	// cosignArtifactType is the artifact type under which Ratify's cosign verifier expects signatures that are found by tag.
	cosignArtifactType = "application/vnd.dev.cosign.artifact.sig.v1+json"
	// cosignSuffix ends the tag of an image's cosign signatures.
	cosignSuffix = ".sig"
)

// ListReferrers returns the referrers of a subject in one page, so that nextToken must be empty. Artifact types limit them to these; none,
// "" or "*" means all. subjectDesc, of which the digest is enough, spares the call that finds it out.
func (s *Store) ListReferrers(ctx context.Context, subject common.Reference, artifactTypes []string, nextToken string,
	subjectDesc *ocispecs.SubjectDescriptor) (upstream.ListReferrersResult, error) {
	r, err := parseReference(subject)
	if err != nil {
		return upstream.ListReferrersResult{}, &Error{Op: listing, Reference: subject.Original, Err: err}
	}
	if nextToken != "" {
		return upstream.ListReferrersResult{}, fail(listing, r,
			fmt.Errorf("there is no page %q: this store returns all referrers at once", truncate(nextToken)))
	}
	var desc ocispec.Descriptor
	if subjectDesc != nil {
		desc = subjectDesc.Descriptor
	} else if desc, err = s.resolve(ctx, r); err != nil {
		return upstream.ListReferrersResult{}, fail(listing, r, err)
	}
	if err := desc.Digest.Validate(); err != nil {
		return upstream.ListReferrersResult{}, fail(listing, r, fmt.Errorf("the subject's descriptor has no valid digest: %w", err))
	}
	found, err := s.list(ctx, r.with(desc.Digest.String()), desc)
	if err != nil {
		return upstream.ListReferrersResult{}, fail(listing, r, err)
	}
	return upstream.ListReferrersResult{Referrers: filter(found, artifactTypes)}, nil
}

// list returns all referrers of the subject, of which nothing but the digest counts. With caching on, they are kept for the ttl.
func (s *Store) list(ctx context.Context, r reference, desc ocispec.Descriptor) ([]ocispecs.ReferenceDescriptor, error) {
	return s.listing.do(ctx, r.key(), s.referrers.Get, func(ctx context.Context) ([]ocispecs.ReferenceDescriptor, error) {
		var signed []ocispec.Descriptor // by cosign
		both, inGroup := errgroup.WithContext(ctx)
		if s.settings.cosign {
			both.Go(func() (err error) {
				defer recovery.ToError(&err)
				signed, err = s.cosignSignature(inGroup, r, desc.Digest)
				return err
			})
		}
		referrers, err := s.askReferrers(inGroup, r, desc)
		if err = errors.Join(err, both.Wait()); err != nil {
			return nil, err
		}
		found := make([]ocispecs.ReferenceDescriptor, 0, len(referrers)+len(signed))
		cost := int64(0)
		for _, d := range referrers {
			found = append(found, ocispecs.ReferenceDescriptor{Descriptor: d, ArtifactType: d.ArtifactType})
			cost += descriptorCost + int64(len(d.MediaType)+len(d.ArtifactType))
			for name, value := range d.Annotations {
				cost += int64(len(name) + len(value))
			}
		}
		for _, d := range signed {
			found = append(found, ocispecs.ReferenceDescriptor{Descriptor: d, ArtifactType: cosignArtifactType})
		}
		// The subject may be asked for at the same time. If it turns out not to be there, that nothing refers to it says nothing about the
		// time when it is.
		if _, there := s.descriptors.Get(r.key()); s.settings.cacheEnabled && (there || len(found) > 0) {
			s.referrers.Put(r.key(), found, cost)
		}
		return found, nil
	})
}

// askReferrers lists by the referrers API, or by the referrers tag where a registry does not have it
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers). Where a referrers tag was found, it is looked
// for first from then on. The API is still asked for a subject without: behind one host there may be repositories of several kinds.
func (s *Store) askReferrers(ctx context.Context, r reference, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	_, tagFirst := s.noReferrersAPI.Get(r.registry)
	if tagFirst {
		if found, tagged, err := s.askTag(ctx, r, desc); tagged || err != nil {
			return found, err
		}
	}
	found, err := s.askAPI(ctx, r, desc)
	if !errors.Is(err, errdef.ErrUnsupported) {
		return found, err
	}
	if tagFirst {
		return nil, nil
	}
	found, tagged, err := s.askTag(ctx, r, desc)
	if tagged {
		s.noReferrersAPI.Put(r.registry, struct{}{}, 0)
	}
	return found, err
}

// askAPI lists by the referrers API. The error wraps errdef.ErrUnsupported if the registry answers as one without it.
func (s *Store) askAPI(ctx context.Context, r reference, desc ocispec.Descriptor) ([]ocispec.Descriptor, error) {
	repository := s.repository(r)
	if err := repository.SetReferrersCapability(true); err != nil {
		return nil, err
	}
	var found referrerList
	err := repository.Referrers(ctx, desc, "", found.add)
	return found.list, err
}

// askTag reads the list that clients keep under the referrers tag, and tells whether there is one. What is there must be a manifest: a web
// page in place of it, which some proxies send with status 200, must not pass for "no signatures".
func (s *Store) askTag(ctx context.Context, r reference, desc ocispec.Descriptor) ([]ocispec.Descriptor, bool, error) {
	tag := desc.Digest.Algorithm().String() + "-" + desc.Digest.Encoded()
	index, body, err := s.repository(r).FetchReference(ctx, tag)
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer body.Close()
	switch {
	case slices.Contains([]string{ocispec.MediaTypeImageManifest, dockerManifest, dockerList}, index.MediaType), index.Digest == desc.Digest:
		return nil, false, nil // some registries find the subject under this tag
	case index.MediaType != ocispec.MediaTypeImageIndex:
		return nil, false, fmt.Errorf("what the registry sent for the referrers tag %s is no manifest but %q: a proxy may have answered in its place",
			tag, truncate(index.MediaType))
	}
	if err := validate(index, maxIndex); err != nil {
		return nil, false, err
	}
	data, err := readAll(body, index)
	if err != nil {
		return nil, false, err
	}
	// A client made this list: what is wrong with it is a fact.
	var content ocispec.Index
	if err := json.Unmarshal(data, &content); err != nil {
		return nil, false, fmt.Errorf("%w: the list under the referrers tag %s: %w", ErrMalformed, tag, err)
	}
	var found referrerList
	if err := found.add(content.Manifests); err != nil && !errors.Is(err, ErrLimit) {
		return nil, false, fmt.Errorf("%w: the list under the referrers tag %s: %w", ErrMalformed, tag, err)
	} else if err != nil {
		return nil, false, err
	}
	return found.list, true, nil
}

// referrerList collects referrers, each once.
type referrerList struct {
	list []ocispec.Descriptor
	seen map[digest.Digest]bool
}

func (l *referrerList) add(page []ocispec.Descriptor) error {
	if l.seen == nil {
		l.seen = make(map[digest.Digest]bool)
	}
	for _, d := range page {
		if err := validate(d, maxManifest); err != nil && !errors.Is(err, ErrLimit) { // too large is for who reads it
			return err
		}
		if l.seen[d.Digest] {
			continue
		}
		l.seen[d.Digest] = true
		if len(l.list) == maxReferrers {
			return fmt.Errorf("%w: it has more than %d referrers", ErrLimit, maxReferrers)
		}
		l.list = append(l.list, d)
	}
	return nil
}

// cosignSignature finds the manifest of an image's cosign signatures by its tag; none is no error.
func (s *Store) cosignSignature(ctx context.Context, r reference, subject digest.Digest) ([]ocispec.Descriptor, error) {
	tag := strings.Replace(subject.String(), ":", "-", 1) + cosignSuffix
	desc, err := s.head(ctx, r.with(tag))
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for cosign signatures under tag %s: %w", tag, err)
	}
	return []ocispec.Descriptor{desc}, nil
}

// filter returns the referrers of the artifact types, in a slice of the caller's own.
func filter(found []ocispecs.ReferenceDescriptor, artifactTypes []string) []ocispecs.ReferenceDescriptor {
	all := len(artifactTypes) == 0 || slices.Contains(artifactTypes, "") || slices.Contains(artifactTypes, "*")
	kept := make([]ocispecs.ReferenceDescriptor, 0, len(found))
	for _, d := range found {
		if all || slices.Contains(artifactTypes, d.ArtifactType) {
			kept = append(kept, d)
		}
	}
	return kept
}
