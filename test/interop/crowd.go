package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The row for what anybody who can push may do to an image's list of referrers.
var crowdRows = []row{
	{"Referrers list", "hundreds of strangers', foreign, repeated, lying; one good", crowd},
}

const (
	strangers = 150 // signatures that nobody trusts
	foreign   = 40  // artifacts that are no signatures
)

// crowd has the registry keep the list under the referrers tag, where it can hold anything.
func crowd(ctx context.Context, e *environment) error {
	instance := emulator.Instance{Name: "crowd", ID: emulator.DefaultID("crowd"), Region: scenario.Demo.Region, NoReferrersAPI: true}
	if err := e.world.Cloud.AddInstance(instance); err != nil {
		return err
	}
	host := instance.Hosts()[0]
	image, err := e.push(ctx, scenario.Registry{ID: instance.ID, Host: host}, "crowd/app")
	if err != nil {
		return err
	}
	good, err := signing.SelfSigned("good")
	if err != nil {
		return err
	}
	honest, err := attachCrowd(ctx, image, good)
	if err != nil {
		return err
	}
	config, err := e.config(trust{
		policy: everywhere("strict", "ca:good"), stores: map[string]string{"ca:good": good.PEM()},
		store: map[string]any{"name": "oras", "authProvider": map[string]any{"name": "alibabacloudAcrBasic", "defaultInstanceId": instance.ID}},
	})
	if err != nil {
		return err
	}

	bad, liar := hostile(image, honest)
	untrusted, trusted := honest[:strangers+foreign], honest[strangers+foreign:]
	repeats := honest[:strangers/2]
	for _, c := range []struct {
		list    []ocispec.Descriptor
		outcome string
		says    string
	}{
		{slices.Concat(bad, untrusted, repeats), "refused", "no trust store holds the issuer of CN=stranger"},
		// Content of the right digest that its descriptor lies about was read: who can push must not keep an image from ever being decided.
		{slices.Concat(liar, bad, untrusted, repeats), "refused", "its descriptor says 1"},
		{slices.Concat(liar, bad, untrusted, repeats, trusted), "verified", "signed by CN=good"},
	} {
		if err := putReferrers(ctx, image, c.list); err != nil {
			return err
		}
		before := calls(e.world.Cloud, host)
		v, err := e.verify(ctx, config, image.ref)
		if err != nil {
			return err
		}
		// The challenge, the subject, both ways to list referrers, and of each signature a manifest and a blob, none of them twice.
		if n, most := calls(e.world.Cloud, host)-before, 10+2*(strangers+len(bad)+len(liar)+len(trusted)); n > most {
			return fmt.Errorf("verifying took %d requests to the registry, more than %d", n, most)
		}
		if err := e.count(v, c.outcome, image.ref, []string{c.says}); err != nil {
			return err
		}
		if err := eachReported(v, honest[:strangers]); err != nil {
			return err
		}
	}
	return nil
}

// attachCrowd attaches the strangers' signatures, the foreign artifacts and, last, the good signature, and returns their descriptors in this order.
func attachCrowd(ctx context.Context, i image, good signing.Identity) ([]ocispec.Descriptor, error) {
	stranger, err := signing.SelfSigned("stranger")
	if err != nil {
		return nil, err
	}
	attach := func(who signing.Identity) error {
		envelope, err := who.Envelope(i.desc, signing.JWS, time.Now())
		if err != nil {
			return err
		}
		return who.Attach(ctx, i.repo, i.desc, signing.JWS, envelope)
	}
	for range strangers {
		if err := attach(stranger); err != nil {
			return nil, err
		}
	}
	for n := range foreign {
		layer, err := oras.PushBytes(ctx, i.repo, "application/spdx+json", fmt.Appendf(nil, `{"n":%d}`, n))
		if err != nil {
			return nil, err
		}
		if _, err := oras.PackManifest(ctx, i.repo, oras.PackManifestVersion1_1, "application/spdx+json",
			oras.PackManifestOptions{Subject: &i.desc, Layers: []ocispec.Descriptor{layer}}); err != nil {
			return nil, err
		}
	}
	if err := attach(good); err != nil {
		return nil, err
	}
	_, content, err := oras.FetchBytes(ctx, i.repo, referrersTag(i.desc), oras.DefaultFetchBytesOptions)
	if err != nil {
		return nil, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, err
	}
	if len(index.Manifests) != strangers+foreign+1 {
		return nil, fmt.Errorf("%d referrers in the list, pushed %d", len(index.Manifests), strangers+foreign+1)
	}
	return index.Manifests, nil
}

// hostile returns descriptors that nobody honest would list, and one whose size is a lie. They belong before the honest ones of the same digests,
// so that they are not passed over as repeats.
func hostile(i image, honest []ocispec.Descriptor) (bad, liar []ocispec.Descriptor) {
	cycle := i.desc                // the image as a signature of itself
	disguised := honest[strangers] // an SBOM as a signature
	huge := honest[strangers+1]
	huge.Size = 5 << 30
	small := honest[strangers+2]
	small.Size = 1
	bad, liar = []ocispec.Descriptor{cycle, disguised, huge}, []ocispec.Descriptor{small}
	for _, list := range [][]ocispec.Descriptor{bad, liar} {
		for i := range list {
			list[i].ArtifactType = "application/vnd.cncf.notary.signature"
		}
	}
	return bad, liar
}

func referrersTag(subject ocispec.Descriptor) string {
	return strings.Replace(subject.Digest.String(), ":", "-", 1)
}

// putReferrers replaces the list of an image's referrers.
func putReferrers(ctx context.Context, i image, list []ocispec.Descriptor) error {
	content, err := json.Marshal(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: list})
	if err != nil {
		return err
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(content), Size: int64(len(content))}
	return i.repo.Manifests().PushReference(ctx, desc, bytes.NewReader(content), referrersTag(i.desc))
}

// calls returns how many requests a host has had.
func calls(cloud *emulator.Cloud, host string) int {
	sum := 0
	for key, n := range cloud.Calls() {
		if strings.HasPrefix(key, host+" ") {
			sum += n
		}
	}
	return sum
}

// eachReported checks that the answer gives a reason for each of the signatures.
func eachReported(v verdict, signatures []ocispec.Descriptor) error {
	var answer struct {
		VerifierReports []struct {
			ReferenceDigest digest.Digest `json:"referenceDigest"`
			ErrorReason     string        `json:"errorReason"`
		} `json:"verifierReports"`
	}
	if err := json.Unmarshal([]byte(v.text), &answer); err != nil {
		return err
	}
	reasons := map[digest.Digest]string{}
	for _, report := range answer.VerifierReports {
		reasons[report.ReferenceDigest] = report.ErrorReason
	}
	var missing []error
	for _, s := range signatures {
		if !strings.Contains(reasons[s.Digest], "no trust store holds the issuer of CN=stranger") {
			missing = append(missing, fmt.Errorf("%s: %q", s.Digest, reasons[s.Digest]))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("signatures without their reason in the report:\n%w", errors.Join(missing...))
	}
	return nil
}
