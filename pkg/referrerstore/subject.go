package referrerstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/auth"
)

const resolving = "resolving"

// GetSubjectDescriptor asks the registry for the descriptor of a subject by its digest, or else its tag.
func (s *Store) GetSubjectDescriptor(ctx context.Context, subject common.Reference) (*ocispecs.SubjectDescriptor, error) {
	r, err := parseReference(subject)
	if err != nil {
		return nil, &Error{Op: resolving, Reference: subject.Original, Err: err}
	}
	desc, err := s.resolve(ctx, r)
	if err != nil {
		return nil, fail(resolving, r, err)
	}
	return &ocispecs.SubjectDescriptor{Descriptor: desc}, nil
}

// resolve returns the descriptor of a manifest. With caching on, it is kept for the ttl.
func (s *Store) resolve(ctx context.Context, r reference) (ocispec.Descriptor, error) {
	return s.resolving.do(ctx, r.key(), s.descriptors.Get, func(ctx context.Context) (ocispec.Descriptor, error) {
		desc, err := s.head(ctx, r)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		if s.settings.cacheEnabled {
			s.descriptors.Put(r.key(), desc, descriptorCost)
			s.descriptors.Put(r.keyOf(desc.Digest), desc, descriptorCost)
		}
		return desc, nil
	})
}

// head resolves by HEAD, which has no body to read. Registries and proxies whose answer to it is of no use are asked by GET.
func (s *Store) head(ctx context.Context, r reference) (ocispec.Descriptor, error) {
	desc, err := s.repository(r).Resolve(ctx, r.target)
	if err == nil {
		return desc, validateSubject(desc)
	}
	if !unfit(err) {
		return ocispec.Descriptor{}, err
	}
	desc, body, err := s.repository(r).FetchReference(ctx, r.target)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer body.Close()
	if err := validateSubject(desc); err != nil {
		return ocispec.Descriptor{}, err
	}
	_, err = readAll(body, desc)
	return desc, err
}

// unfit tells whether an error of HEAD means that GET may do better: the method is not allowed, or the answer lacks a header.
// It is not when nobody answered, or the answer was a clear no.
func unfit(err error) bool {
	if answer := (*errcode.ErrorResponse)(nil); errors.As(err, &answer) {
		return slices.Contains([]int{http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusBadRequest}, answer.StatusCode)
	}
	var (
		connection *url.Error
		refused    *auth.RefusedError
	)
	return !errors.As(err, &connection) && !errors.As(err, &refused) && !errors.Is(err, errdef.ErrNotFound) && !errors.Is(err, errProvider) &&
		!errors.Is(err, auth.ErrTokenService) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// validate checks a descriptor that a registry sent.
func validate(desc ocispec.Descriptor, limit int64) error {
	if err := desc.Digest.Validate(); err != nil {
		return fmt.Errorf("the registry sent a descriptor with digest %q: %w", truncate(desc.Digest.String()), err)
	}
	if desc.Size < 0 {
		return fmt.Errorf("the registry sent a descriptor of %s with size %d", desc.Digest, desc.Size)
	}
	if desc.Size > limit {
		return fmt.Errorf("%w: %s has %d bytes, and %d are accepted", ErrLimit, desc.Digest, desc.Size, limit)
	}
	return nil
}

// validateSubject is validate for what is there under a tag or digest. A web page, which some proxies send with status 200, is no image
// without signatures.
func validateSubject(desc ocispec.Descriptor) error {
	if desc.MediaType == "text/html" {
		return errors.New("the registry sent a web page instead of a manifest: a proxy may have answered in its place")
	}
	return validate(desc, maxManifest)
}

// readAtOnce is up to which size what an answer announces is believed before it is read. Signatures and their manifests have a few kilobytes.
const readAtOnce = 64 << 10

// readAll reads what desc describes, which must have been validated, and checks it against size and digest. What is small, which is what is kept in
// numbers, takes no more memory than its size.
func readAll(body io.Reader, desc ocispec.Descriptor) (data []byte, err error) {
	if desc.Size < 0 || desc.Size > readAtOnce {
		data, err = content.ReadAll(body, desc)
	} else {
		data = make([]byte, desc.Size)
		verified := content.NewVerifyReader(body, desc)
		if _, err = io.ReadFull(verified, data); err == nil {
			err = verified.Verify()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", desc.Digest, err)
	}
	return data, nil
}

// truncate shortens a registry's text for an error.
func truncate(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
