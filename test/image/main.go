package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/report"
)

// budget bounds the whole run.
const budget = 10 * time.Minute

// expected is what the images were built with.
type expected struct {
	images, programs      string
	version, commit, base string
}

// variant is one of the two images, and what makes it.
type variant struct {
	name    string
	suffix  string   // of the version
	ratify  string   // the program in the folder of programs
	plugins []string // the programs in its folder plugins
}

var variants = []variant{
	{"full", "", "ratify", []string{"licensechecker", "sbom", "schemavalidator", "vulnerabilityreport"}},
	{"slim", "-slim", "ratify-slim", nil},
}

func main() {
	log.SetFlags(0)
	var e expected
	flag.StringVar(&e.images, "images", "", "the `folder` of the images: for each variant, build-NAME and prebuilt-NAME in OCI's layout")
	flag.StringVar(&e.programs, "programs", "bin", "the `folder` with the programs that were compiled outside of the image")
	flag.StringVar(&e.version, "version", "", "the version that was built")
	flag.StringVar(&e.commit, "commit", "", "the commit that was built")
	flag.StringVar(&e.base, "base", "", "the name of the base image")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	r := &report.Report{}
	for _, v := range variants {
		if err := e.check(ctx, v, r); err != nil {
			log.Fatalf("image: %s: %v", v.name, err)
		}
	}
	r.End()
}

// check checks the images of a variant: the one with both platforms, which was compiled in the Dockerfile, and the one of prebuilt programs.
func (e expected) check(ctx context.Context, v variant, r *report.Report) error {
	built, err := images(filepath.Join(e.images, "build-"+v.name))
	if err != nil {
		return err
	}
	ready, err := images(filepath.Join(e.images, "prebuilt-"+v.name))
	if err != nil {
		return err
	}
	native := "linux/" + runtime.GOARCH
	reference, ok := ready[native]
	if !ok {
		return fmt.Errorf("the prebuilt image is not there for %s", native)
	}
	r.Check(v.name+": one index has linux/amd64 and linux/arm64, and nothing else", samePlatforms(built))
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		i, ok := built[platform]
		if !ok {
			continue // the check before says so
		}
		name := v.name + " " + platform + ": "
		e.checkConfig(i, v, platform, func(what string, err error) { r.Check(name+what, err) })
		r.Check(name+"the files and their modes are those of the prebuilt image", sameFiles(i, reference))
		e.checkPrograms(ctx, i, v, platform, func(what string, err error) { r.Check(name+what, err) })
		if platform == native {
			r.Check(name+"the programs are byte for byte those that were compiled outside", e.samePrograms(i, v))
			r.Check(name+"the image has the digest of the prebuilt one", sameDigest(i, reference))
		}
	}
	return nil
}

// images are the images of an index in OCI's layout by their platform. buildah's layout has an index of one: the image's.
func images(folder string) (map[string]*image, error) {
	outer, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		return nil, err
	}
	list, err := outer.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(list.Manifests) != 1 || !list.Manifests[0].MediaType.IsIndex() {
		return nil, fmt.Errorf("%s has not one index of images", folder)
	}
	index, err := outer.ImageIndex(list.Manifests[0].Digest)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	found := map[string]*image{}
	for _, m := range manifest.Manifests {
		image, err := index.Image(m.Digest)
		if err != nil {
			return nil, err
		}
		platform := m.Platform.OS + "/" + m.Platform.Architecture
		if found[platform], err = read(image); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", folder, platform, err)
		}
	}
	return found, nil
}
