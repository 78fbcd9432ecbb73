package referrerstore

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/ratify-project/ratify/pkg/common"
	"oras.land/oras-go/v2/registry"
)

// reference is a checked reference to a manifest or blob of a repository.
type reference struct {
	registry   string // as written in the image reference: host[:port]
	repository string
	target     string // a digest, or a tag
}

// parseReference takes a subject's reference apart. Its digest counts if it has one, else its tag.
func parseReference(subject common.Reference) (reference, error) {
	target := subject.Digest.String()
	if target == "" {
		target = subject.Tag
	}
	if len(subject.Path)+len(target) > maxReference {
		return reference{}, fmt.Errorf("reference with more than %d bytes", maxReference)
	}
	path, err := registry.ParseReference(subject.Path)
	if err != nil {
		return reference{}, fmt.Errorf("reference %q is not a registry and a repository: %w", subject.Path, err)
	}
	whole := registry.Reference{Registry: path.Registry, Repository: path.Repository, Reference: target}
	if err := whole.ValidateReference(); err != nil || target == "" || path.Reference != "" {
		return reference{}, fmt.Errorf("reference %q with digest %q and tag %q has neither a valid digest nor a valid tag",
			subject.Path, subject.Digest, subject.Tag)
	}
	return reference{registry: path.Registry, repository: path.Repository, target: target}, nil
}

// path returns the registry and the repository.
func (r reference) path() string { return r.registry + "/" + r.repository }

// with returns a reference to something else in the same repository.
func (r reference) with(target string) reference {
	r.target = target
	return r
}

// digest returns the digest that r refers to, or "" for a tag. The target was checked, and tags have no colon.
func (r reference) digest() digest.Digest {
	if strings.Contains(r.target, ":") {
		return digest.Digest(r.target)
	}
	return ""
}

func (r reference) String() string {
	if r.digest() != "" {
		return r.path() + "@" + r.target
	}
	return r.path() + ":" + r.target
}
