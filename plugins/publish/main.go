// Command publish pushes a plugin as an OCI artifact, from which Ratify downloads it (`source` of a store or verifier), and prints the artifact's
// reference by digest:
//
//	go run ./plugins/publish registry.example.com/plugins/alibabacloudacr:v1 bin/stock-plugins/alibabacloudacr
//
// Credentials come from Docker's configuration (`docker login`). They are sent to a token service with a private address only if -token-service
// names it. Ratify takes an image manifest whose first layer is the program.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

const (
	// timeout bounds the push of some 30 MB.
	timeout = 10 * time.Minute
	// artifactType is what the oras command gives to artifacts whose type nobody said; Ratify does not look at it.
	artifactType = "application/vnd.unknown.artifact.v1"
)

func main() {
	log.SetFlags(0)
	tokenService := flag.String("token-service", "", "`host[:port]` of the registry's token service, if that has a private address")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: publish [-token-service host[:port]] registry/repository:tag program")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	reference, err := publish(ctx, flag.Arg(0), flag.Arg(1), *tokenService, http.DefaultTransport)
	if err != nil {
		log.Fatalf("publish %s: %v", flag.Arg(1), err)
	}
	fmt.Println(reference)
}

// publish pushes the program at path to a tag, and returns the reference by digest. tokenServiceHost is "" if the registry's token service has a public
// address, or none of its own.
func publish(ctx context.Context, tag, path, tokenServiceHost string, transport http.RoundTripper) (string, error) {
	repo, err := remote.NewRepository(tag)
	if err != nil {
		return "", err
	}
	if repo.Reference.ValidateReferenceAsTag() != nil {
		return "", fmt.Errorf("%s has no tag: write registry/repository:tag", tag)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return "", fmt.Errorf("%s is not a program", path)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if tokenServiceHost != "" {
		if transport, err = newTokenService(repo.Reference.Host(), tokenServiceHost, transport); err != nil {
			return "", err
		}
	}
	login, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return "", fmt.Errorf("read Docker's configuration: %w", err)
	}
	repo.Client = &auth.Client{Client: &http.Client{Transport: transport}, Cache: auth.NewCache(), Credential: credentials.Credential(login)}

	layer, err := oras.PushBytes(ctx, repo, "application/octet-stream", program)
	if err != nil {
		return "", fmt.Errorf("push the program: %w%s", err, remedy(err))
	}
	layer.Annotations = map[string]string{ocispec.AnnotationTitle: filepath.Base(path)}
	manifest, err := oras.PackManifest(ctx, repo, oras.PackManifestVersion1_1, artifactType, oras.PackManifestOptions{Layers: []ocispec.Descriptor{layer}})
	if err != nil {
		return "", fmt.Errorf("push the manifest: %w", err)
	}
	if err := repo.Tag(ctx, manifest, repo.Reference.Reference); err != nil {
		return "", fmt.Errorf("tag the manifest: %w", err)
	}
	return fmt.Sprintf("%s/%s@%s", repo.Reference.Registry, repo.Reference.Repository, manifest.Digest), nil
}

// remedy says what to do about a token service that oras-go does not trust, of which it has no error to compare with.
func remedy(err error) string {
	if strings.Contains(err.Error(), "bearer realm host") {
		return "; if that is the registry's token service, name its host with -token-service"
	}
	return ""
}
