package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore"
)

const (
	// downloadTimeout bounds a download, during which no configuration is loaded.
	downloadTimeout = 30 * time.Second
	// maxPlugin bounds a program. Those of Ratify have 30 to 50 MB.
	maxPlugin = 256 << 20
	// maxPluginManifest is what registries accept of a manifest.
	maxPluginManifest = 4 << 20
)

// download writes the program that is the first layer of an image to path. What it reads is checked against the digest in the source's
// reference, if it has one, and the layer against the manifest's.
func (o Options) download(ctx context.Context, source pluginSource, path string) error {
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()
	// The store knows how to ask a registry in a VPC: oras-go's own client refuses token services whose names lead to private addresses.
	config := storeconfig.StorePluginConfig{}
	if source.AuthProvider != nil {
		config["authProvider"] = source.AuthProvider
	}
	store, err := referrerstore.New(config, "", referrerstore.Options{Transport: o.Transport, UserAgent: o.UserAgent, Log: o.Log,
		NewAuthProvider: o.newAuthProvider})
	if err != nil {
		return err
	}
	defer store.Close()
	repo, err := store.Repository(source.Artifact)
	if err != nil {
		return err
	}
	_, body, err := oras.FetchBytes(ctx, repo, repo.Reference.ReferenceOrDefault(), oras.FetchBytesOptions{MaxBytes: maxPluginManifest})
	if err != nil {
		return referrerstore.Explain("reading", repo.Reference, err)
	}
	var manifest struct {
		Layers []ocispec.Descriptor `json:"layers"`
		Blobs  []ocispec.Descriptor `json:"blobs"` // of an artifact manifest
	}
	if err := json.Unmarshal(body, &manifest); err != nil {
		return fmt.Errorf("the manifest: %w", err)
	}
	layers := slices.Concat(manifest.Layers, manifest.Blobs)
	if len(layers) == 0 {
		return errors.New("the manifest has no layer, which the program is to be")
	}
	if layers[0].Size > maxPlugin {
		return fmt.Errorf("the program has %d bytes, and %d are accepted", layers[0].Size, maxPlugin)
	}
	if err := fetchTo(ctx, repo.Blobs(), layers[0], path); err != nil {
		return referrerstore.Explain("reading the program of", repo.Reference, err)
	}
	return nil
}

// fetchTo writes a blob to an executable file.
func fetchTo(ctx context.Context, from content.Fetcher, desc ocispec.Descriptor, path string) (err error) {
	blob, err := from.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer blob.Close()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o700)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	checked := content.NewVerifyReader(blob, desc)
	if _, err := io.Copy(file, checked); err != nil {
		return err
	}
	return checked.Verify()
}
