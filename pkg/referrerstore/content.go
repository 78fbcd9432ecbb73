package referrerstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"oras.land/oras-go/v2/registry"
)

const (
	readingManifest = "reading manifest"
	readingBlob     = "reading blob"
	// dockerManifest is the media type of manifests that cosign writes for registries that know no OCI types. It has the fields of OCI's.
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// GetReferenceManifest reads the manifest of a referrer: an OCI image manifest, whose layers are the blobs, or an OCI artifact manifest.
func (s *Store) GetReferenceManifest(ctx context.Context, subject common.Reference,
	desc ocispecs.ReferenceDescriptor) (ocispecs.ReferenceManifest, error) {
	r, err := parseReference(common.Reference{Path: subject.Path, Digest: desc.Digest})
	if err != nil {
		return ocispecs.ReferenceManifest{}, &Error{Op: readingManifest, Reference: subject.Original, Err: err}
	}
	manifest, err := s.manifest(ctx, r, desc.Descriptor)
	if err != nil {
		return ocispecs.ReferenceManifest{}, fail(readingManifest, r, err)
	}
	return manifest, nil
}

func (s *Store) manifest(ctx context.Context, r reference, desc ocispec.Descriptor) (ocispecs.ReferenceManifest, error) {
	if err := validate(desc, maxManifest); err != nil {
		return ocispecs.ReferenceManifest{}, err
	}
	data, err := s.content(ctx, readingManifest, r, maxManifest, s.repository(r).Manifests())
	if err != nil {
		return ocispecs.ReferenceManifest{}, err
	}
	if size := int64(len(data)); size != desc.Size {
		return ocispecs.ReferenceManifest{}, fmt.Errorf("%w: it has %d bytes, and its descriptor says %d", ErrMalformed, size, desc.Size)
	}
	manifest, err := parseManifest(data, desc.MediaType)
	if err != nil {
		return ocispecs.ReferenceManifest{}, err
	}
	for _, blob := range manifest.Blobs {
		s.noteSize(r.keyOf(blob.Digest), blob.Size)
	}
	return manifest, nil
}

// disputed is the size of a blob for which manifests declare different ones.
const disputed = -1

// noteSize remembers which size a manifest declares for a blob. Manifests that contradict each other are not believed: whoever may push to a
// repository can name others' blobs.
func (s *Store) noteSize(key string, size int64) {
	if other, ok := s.sizes.Get(key); ok && other != size {
		size = disputed
	}
	s.sizes.Put(key, size, 0)
}

// declaredSize returns what manifests declare for a blob, if they agree.
func (s *Store) declaredSize(r reference) (size int64, known bool) {
	size, known = s.sizes.Get(r.key())
	return size, known && size != disputed
}

// parseManifest reads a manifest whose digest was checked, so that what is wrong with it is the artifact's fault.
func parseManifest(data []byte, mediaType string) (ocispecs.ReferenceManifest, error) {
	malformed := func(format string, args ...any) (ocispecs.ReferenceManifest, error) {
		return ocispecs.ReferenceManifest{}, fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	var manifest ocispecs.ReferenceManifest
	switch mediaType {
	case ocispec.MediaTypeImageManifest, dockerManifest:
		var image ocispec.Manifest
		if err := json.Unmarshal(data, &image); err != nil {
			return malformed("it is no JSON of a manifest: %v", err)
		}
		manifest = ocispecs.ReferenceManifest{MediaType: image.MediaType, ArtifactType: image.ArtifactType, Blobs: image.Layers,
			Subject: image.Subject, Annotations: image.Annotations}
		if manifest.ArtifactType == "" {
			manifest.ArtifactType = image.Config.MediaType
		}
	case ocispecs.MediaTypeArtifactManifest:
		if err := json.Unmarshal(data, &manifest); err != nil {
			return malformed("it is no JSON of a manifest: %v", err)
		}
	default:
		return malformed("media type %q is not that of an image or artifact manifest", truncate(mediaType))
	}
	if manifest.MediaType == "" {
		manifest.MediaType = mediaType // OCI image manifests may leave it out
	}
	if manifest.MediaType != mediaType {
		return malformed("it says that it is a %q, and the list of referrers says %q", truncate(manifest.MediaType), truncate(mediaType))
	}
	for i, blob := range manifest.Blobs {
		if err := blob.Digest.Validate(); err != nil || blob.Size < 0 {
			return malformed("blob %d has digest %q and size %d", i, truncate(blob.Digest.String()), blob.Size)
		}
	}
	return manifest, nil
}

// GetBlobContent reads a blob of the subject's repository.
func (s *Store) GetBlobContent(ctx context.Context, subject common.Reference, id digest.Digest) ([]byte, error) {
	r, err := parseReference(common.Reference{Path: subject.Path, Digest: id})
	if err != nil {
		return nil, &Error{Op: readingBlob, Reference: subject.Original, Err: err}
	}
	if size, known := s.declaredSize(r); known && size > maxBlob {
		return nil, fail(readingBlob, r, fmt.Errorf("%w: its manifest declares %d bytes, and %d are accepted", ErrLimit, size, maxBlob))
	}
	data, err := s.content(ctx, readingBlob, r, maxBlob, s.repository(r).Blobs())
	if err != nil {
		return nil, fail(readingBlob, r, err)
	}
	// Looked up again, so that no manifest is blamed for what another one, read meanwhile, says.
	if size, known := s.declaredSize(r); known && size != int64(len(data)) {
		return nil, fail(readingBlob, r, fmt.Errorf("%w: it has %d bytes, and its manifest declares %d", ErrMalformed, len(data), size))
	}
	return slices.Clone(data), nil // the cache keeps the original
}

// content returns what r, a digest, refers to, from the memory, the disk or the registry. What is read as a manifest and as a blob is kept
// apart: registries have them under different names, and the one may be missing there while the other is not. Descriptors of it have no say
// here: who lists it with a lie must not fail those who ask for the same at that time, and once its digest is right, the lie is a fact.
func (s *Store) content(ctx context.Context, op string, r reference, limit int64, from registry.ReferenceFetcher) ([]byte, error) {
	key := op + " " + r.key()
	if data, ok := s.contents.Get(key); ok {
		s.onCache(true)
		return data, nil
	}
	return s.fetching.do(ctx, key, s.contents.Get, func(ctx context.Context) ([]byte, error) {
		if s.disk != nil {
			if data, ok := s.disk.Get(r.path(), r.digest(), limit); ok {
				s.onCache(true)
				s.contents.Put(key, data, int64(len(data)))
				return data, nil
			}
		}
		s.onCache(false)
		announced, body, err := from.FetchReference(ctx, r.target)
		if err != nil {
			return nil, err
		}
		defer body.Close()
		if announced.Size > limit { // what an answer announces is no fact about the artifact: the next one may be another
			return nil, fmt.Errorf("the registry announced %d bytes, and %d are accepted", announced.Size, limit)
		}
		data, err := readAll(body, ocispec.Descriptor{Digest: r.digest(), Size: announced.Size})
		if err != nil {
			return nil, err
		}
		s.contents.Put(key, data, int64(len(data)))
		if s.disk != nil {
			if err := s.disk.Put(r.path(), r.digest(), data); err != nil {
				s.log.Warn("a content could not be kept on disk", "content", r.String(), "error", err)
			}
		}
		return data, nil
	})
}
