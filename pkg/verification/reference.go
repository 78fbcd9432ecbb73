package verification

import (
	"fmt"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	"github.com/ratify-project/ratify/pkg/common"
	policytypes "github.com/ratify-project/ratify/pkg/policyprovider/types"
	"github.com/ratify-project/ratify/pkg/utils"
)

// maxReferenceBytes bounds an image reference: a repository name has at most 255 characters, a tag 128 and a digest 135
// (sha512), see https://github.com/distribution/reference. The rest is for a namespace and a host name.
const maxReferenceBytes = 1024

// ParseKey splits a key of a Gatekeeper request, "image" or "[namespace]image", into its parts.
func ParseKey(key string) (namespace, image string, err error) {
	if len(key) > maxReferenceBytes {
		return "", "", fmt.Errorf("image reference of %d bytes is longer than the %d that are allowed", len(key), maxReferenceBytes)
	}
	rest, ok := strings.CutPrefix(key, "[")
	if !ok {
		return "", key, nil
	}
	namespace, image, ok = strings.Cut(rest, "]")
	if !ok {
		return "", "", fmt.Errorf("key %q: the closing ] after the namespace is missing; write [namespace]image", key)
	}
	return namespace, image, nil
}

// references reads image references, and remembers what it read: that is the same for ever, and takes longer than all else where the verdict is
// known. It is safe for concurrent use.
type references struct {
	known *lru.Cache[string, common.Reference]
}

func newReferences() *references {
	known, err := lru.New[string, common.Reference](maxRemembered) // of some 400 bytes each
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &references{known}
}

// parse reads an image reference with Docker's defaults: registry docker.io, tag latest.
func (r *references) parse(image string) (common.Reference, error) {
	if ref, ok := r.known.Get(image); ok {
		return ref, nil
	}
	ref, err := utils.ParseSubjectReference(image)
	if err != nil {
		return common.Reference{}, fmt.Errorf("%q is not an image reference", image)
	}
	if ref.Original == image {
		ref.Original = image // one text, not two
	}
	ref.Path = ref.Original[:len(ref.Path)]
	r.known.Add(image, ref)
	return ref, nil
}

// at returns the reference of the content in ref's repository that has the digest.
func at(ref common.Reference, d digest.Digest) common.Reference {
	return common.Reference{Path: ref.Path, Digest: d, Original: ref.Path + "@" + d.String()}
}

// RefuseKey returns the verdict about a key that ParseKey could not read.
func RefuseKey(key string, err error) Verdict {
	subject := strings.ToValidUTF8(key[:min(len(key), maxReferenceBytes)], "")
	return refuse(policytypes.ConfigPolicy, subject, refusal{
		message:     "not an image reference",
		reason:      err.Error(),
		remediation: "write registry/repository:tag or registry/repository@sha256:…, after [namespace] if need be",
	})
}
