package main

import (
	"context"
	"fmt"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// demoCase is an image and what should become of it.
type demoCase struct {
	name     string
	registry scenario.Registry
	kind     scenario.Kind
	admitted bool
	says     string                                                              // part of the signer or reason
	sign     func(context.Context, *remote.Repository, ocispec.Descriptor) error // how it is signed, besides what its kind says
	before   func()                                                              // what happens to the cloud before the image is asked for
	image    string
}

// cases pushes and signs the images.
func cases(ctx context.Context, w *scenario.World, kms []demoCase) ([]demoCase, error) {
	api := w.Cloud.Endpoint("cr." + scenario.Standby.Region + ".aliyuncs.com")
	down := func() { api.SetFault(emulator.Fault{Status: http.StatusServiceUnavailable}) }
	up := func() { api.SetFault(emulator.Fault{}) }
	all := append(kms, []demoCase{
		{name: "signed, no referrers API", registry: scenario.Legacy, kind: scenario.SignedCOSE, admitted: true, says: "CN=releases"},
		{registry: scenario.Demo, kind: scenario.Unsigned, says: "no signature"},
		{registry: scenario.Demo, kind: scenario.Tampered, says: "integrity"},
		{registry: scenario.Demo, kind: scenario.Stranger, says: "no trust store holds the issuer of CN=stranger"},
		{registry: scenario.Demo, kind: scenario.AnothersSignature, says: "not for this image"},
		{registry: scenario.Demo, kind: scenario.Expired, says: "CN=retired"},
		{name: "signed, but cloud down", registry: scenario.Standby, kind: scenario.SignedJWS, says: "cr.cn-shanghai.aliyuncs.com", before: down},
		{name: "the same, cloud up again", registry: scenario.Standby, kind: scenario.SignedJWS, admitted: true, says: "CN=releases", before: up},
	}...)
	for i := range all {
		c := &all[i]
		if c.name == "" {
			c.name = string(c.kind)
		}
		repository := "demo/" + slug(c.name)
		image, err := w.Push(ctx, c.registry, repository, c.kind)
		if err != nil {
			return nil, err
		}
		if c.sign != nil {
			repo, err := signing.Repository(c.registry.Host+"/"+repository, w.Cloud.PushTransport(c.registry.ID))
			if err != nil {
				return nil, err
			}
			if err := c.sign(ctx, repo, image); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
		}
		c.image = c.registry.Host + "/" + repository + ":v1"
	}
	return all, nil
}

// slug makes a repository's name of a title.
func slug(title string) string {
	var name []byte
	for _, c := range []byte(title) {
		switch {
		case c >= 'a' && c <= 'z':
			name = append(name, c)
		case c >= 'A' && c <= 'Z':
			name = append(name, c-'A'+'a')
		case len(name) > 0 && name[len(name)-1] != '-':
			name = append(name, '-')
		}
	}
	return string(name)
}
