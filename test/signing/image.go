package signing

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
)

// Repository returns the repository host/name, reached through transport.
func Repository(name string, transport http.RoundTripper) (*remote.Repository, error) {
	repo, err := remote.NewRepository(name)
	if err != nil {
		return nil, err
	}
	repo.Client = &auth.Client{Client: &http.Client{Transport: transport}}
	return repo, nil
}

// PushImage pushes an image of one small layer and tags it.
func PushImage(ctx context.Context, repo *remote.Repository, tag, content string) (ocispec.Descriptor, error) {
	config, err := oras.PushBytes(ctx, repo, ocispec.MediaTypeImageConfig, []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`))
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("push the config: %w", err)
	}
	layer, err := oras.PushBytes(ctx, repo, ocispec.MediaTypeImageLayer, []byte(strings.TrimSpace(content)+"\n"))
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("push the layer: %w", err)
	}
	image, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, "", oras.PackManifestOptions{
		ConfigDescriptor: &config, Layers: []ocispec.Descriptor{layer},
		ManifestAnnotations: map[string]string{ocispec.AnnotationCreated: "2026-01-01T00:00:00Z"},
	})
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("push the manifest: %w", err)
	}
	return image, repo.Tag(ctx, image, tag)
}
