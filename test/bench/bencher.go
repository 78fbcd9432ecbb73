package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/hosts"
	world "github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

const (
	tokenHost = "dockerauth.cn-hangzhou.aliyuncs.com"
	// pushers push at once: more than the cores of most machines do no good.
	pushers = 8
)

// cloudHosts are those that servers reach.
var cloudHosts = []string{"sts.aliyuncs.com", "cr.cn-hangzhou.aliyuncs.com", tokenHost, registryHost}

var registryHost = world.Demo.Host

// bencher has what all scenarios play in.
type bencher struct {
	options options
	dir     string
	cloud   *emulator.Cloud
	world   *world.World
	hosts   *hosts.Hosts
	anchors string // a folder with the certificates that are trusted

	pushed atomic.Int64 // repositories, which makes their names
}

func newBencher(o options) (b *bencher, err error) {
	b = &bencher{options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if b.dir, err = os.MkdirTemp("", "ratify-bench-"); err != nil {
		return b, err
	}
	// Tokens last for a whole scenario: what is measured is not how they are renewed.
	if b.cloud, err = emulator.Start(emulator.Options{BearerLifetime: time.Hour}); err != nil {
		return b, fmt.Errorf("start the emulated cloud: %w", err)
	}
	if b.world, err = world.New(b.cloud); err != nil {
		return b, err
	}
	b.anchors = filepath.Join(b.dir, "anchors")
	if err := os.Mkdir(b.anchors, 0o755); err != nil {
		return b, err
	}
	for i, anchor := range strings.SplitAfter(b.world.Anchors(), "-----END CERTIFICATE-----\n") { // upstream takes one certificate a file
		if strings.TrimSpace(anchor) == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(b.anchors, fmt.Sprintf("%d.crt", i)), []byte(anchor), 0o644); err != nil {
			return b, err
		}
	}
	if o.profiles == "" {
		b.hosts, err = hosts.Forward(b.cloud, filepath.Join(b.dir, "hosts"), cloudHosts...)
	}
	return b, err
}

func (b *bencher) close() error {
	var errs []error
	if b.hosts != nil {
		errs = append(errs, b.hosts.Close())
	}
	if b.cloud != nil {
		errs = append(errs, b.cloud.Close())
	}
	if b.dir != "" {
		errs = append(errs, os.RemoveAll(b.dir))
	}
	return errors.Join(errs...)
}

func (b *bencher) setLatency(d time.Duration) {
	for _, host := range cloudHosts {
		b.cloud.Endpoint(host).SetLatency(d)
	}
}

// image is one that verifies.
type image struct {
	repository, tag, digest string
}

// reference is by digest.
func (i image) reference() string { return registryHost + "/" + i.repository + "@" + i.digest }

// tagged is by tag.
func (i image) tagged() string { return registryHost + "/" + i.repository + ":" + i.tag }

// references are those of images.
func references(images []image) []string {
	var all []string
	for _, i := range images {
		all = append(all, i.reference())
	}
	return all
}

// newRepositories pushes n images, each with some signatures, each into a repository of its own.
func (b *bencher) newRepositories(ctx context.Context, n, signatures int) ([]image, error) {
	return b.push(ctx, n, signatures, func() string { return b.newRepository() })
}

// inOneRepository pushes n images with a signature each into one repository.
func (b *bencher) inOneRepository(ctx context.Context, n int) ([]image, error) {
	repository := b.newRepository()
	return b.push(ctx, n, 1, func() string { return repository })
}

func (b *bencher) newRepository() string { return fmt.Sprintf("bench/%05d", b.pushed.Add(1)) }

func (b *bencher) push(ctx context.Context, n, signatures int, repository func() string) ([]image, error) {
	images := make([]image, n)
	transport := b.cloud.PushTransport(world.Demo.ID)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pushers)
	for i := range n {
		images[i].repository = repository()
		group.Go(func() error {
			repo, err := signing.Repository(registryHost+"/"+images[i].repository, transport)
			if err != nil {
				return err
			}
			images[i].tag = fmt.Sprint("v", i)
			pushed, err := signing.PushImage(ctx, repo, images[i].tag, fmt.Sprint(images[i].repository, i)) // each image another
			if err != nil {
				return err
			}
			for range signatures {
				if err := b.world.Sign(ctx, repo, pushed, world.SignedJWS); err != nil {
					return err
				}
			}
			images[i].digest = pushed.Digest.String()
			return nil
		})
	}
	return images, group.Wait()
}
