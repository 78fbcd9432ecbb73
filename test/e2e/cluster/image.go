package cluster

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"maps"
	"os"
	"path"

	"runtime"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/oci"
)

// nameAnnotation is how an archive tells containerd the name of an image.
const nameAnnotation = "io.containerd.image.name"

// Image is an image of a few files. With Archive, it is one that something else has built.
type Image struct {
	Name       string            // repository:tag, as pods name it
	Files      map[string]string // path in the image → file on this machine; all are executable
	Entrypoint []string
	User       string // uid:gid; default root
	Labels     map[string]string
	Archive    string // an archive in Docker's or OCI's format that names the image itself
}

// Store makes the image in an OCI layout or a repository, and returns its manifest.
func (i Image) Store(ctx context.Context, to content.Storage) (ocispec.Descriptor, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, name := range slices.Sorted(maps.Keys(i.Files)) {
		body, err := os.ReadFile(i.Files[name])
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		if err := w.WriteHeader(&tar.Header{Name: path.Clean(name)[1:], Mode: 0o755, Size: int64(len(body))}); err != nil {
			return ocispec.Descriptor{}, err
		}
		if _, err := w.Write(body); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if err := w.Close(); err != nil {
		return ocispec.Descriptor{}, err
	}
	config, err := json.Marshal(ocispec.Image{
		Platform: ocispec.Platform{Architecture: runtime.GOARCH, OS: "linux"},
		Config:   ocispec.ImageConfig{Entrypoint: i.Entrypoint, User: i.User, Labels: i.Labels},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer.Bytes())}},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	push := func(mediaType string, body []byte) (ocispec.Descriptor, error) {
		d := content.NewDescriptorFromBytes(mediaType, body)
		return d, to.Push(ctx, d, bytes.NewReader(body))
	}
	layerAt, err := push(ocispec.MediaTypeImageLayer, layer.Bytes())
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	configAt, err := push(ocispec.MediaTypeImageConfig, config)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: configAt, Layers: []ocispec.Descriptor{layerAt},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return push(ocispec.MediaTypeImageManifest, manifest)
}

// Import gives images to the node.
func (c *Cluster) Import(ctx context.Context, images ...Image) error {
	for _, image := range images {
		archive := image.Archive
		if archive == "" {
			var err error
			if archive, err = c.archive(ctx, image); err != nil {
				return fmt.Errorf("image %s: %w", image.Name, err)
			}
			defer os.Remove(archive)
		}
		if _, err := c.ctr(ctx, "images", "import", archive); err != nil {
			return fmt.Errorf("image %s: %w", image.Name, err)
		}
	}
	return nil
}

// archive makes an image and writes it as a tar archive of an OCI layout.
func (c *Cluster) archive(ctx context.Context, image Image) (string, error) {
	folder, err := os.MkdirTemp(c.path("images"), "")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(folder)
	store, err := oci.New(folder)
	if err != nil {
		return "", err
	}
	manifest, err := image.Store(ctx, store)
	if err != nil {
		return "", err
	}
	manifest.Annotations = map[string]string{nameAnnotation: image.Name}
	if err := store.Tag(ctx, manifest, image.Name); err != nil {
		return "", err
	}
	file, err := os.Create(folder + ".tar")
	if err != nil {
		return "", err
	}
	w := tar.NewWriter(file)
	if err = w.AddFS(os.DirFS(folder)); err == nil {
		err = w.Close()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	return file.Name(), err
}
