package referrerstore

import (
	"fmt"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"
)

// Repository returns a client of oras-go for reading what the reference of an image names, with the store's credentials and connections.
// Unlike the store's own calls it has no deadline, and no limits but that of metadata: both are the caller's. Hand its errors to Explain.
func (s *Store) Repository(image string) (*remote.Repository, error) {
	parsed, err := registry.ParseReference(image)
	if err != nil {
		return nil, fmt.Errorf("reference %q is not registry/repository with a tag or digest: %w", image, err)
	}
	repository := s.repository(reference{registry: parsed.Registry, repository: parsed.Repository})
	repository.Reference = parsed
	return repository, nil
}

// Explain makes an *Error of one that a client of Repository returned. op is what was tried, for example "reading". The client's own errors quote
// whole URLs, which after a redirect may carry a signature.
func Explain(op string, about registry.Reference, err error) error {
	return fail(op, reference{registry: about.Registry, repository: about.Repository, target: about.ReferenceOrDefault()}, err)
}
