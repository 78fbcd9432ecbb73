package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// The rows for verifiers that are programs: Ratify's own, built from its module, and some that misbehave. Ratify's read the registry by
// themselves, with their store and their client: through the pod's HTTPS_PROXY and SSL_CERT_FILE, with the credentials of docker login,
// for their client of STS knows no proxy.
var pluginRows = []row{
	{"SBOM", "SPDX with a disallowed license, with a disallowed package", sbomContents},
	{"SBOM", "nested signatures: it must itself be signed", sbomSigned},
	{"SBOM", "Rego policy over nested reports (1.1.0)", sbomRego},
	{"Vulnerability report", "Trivy and Grype: CVEs, severities, age", vulnerabilities},
	{"License checker", "SPDX tag-value with a license that is not allowed", licenses},
	{"Schema validator", "a report that breaks its schema, a schema that cannot be read", schemas},
	{"Verifier plugin", "Ratify's, about a registry that fails or hangs: undetermined", failedReads},
	{"Verifier plugin", "crashes, floods and ambiguous results: undetermined", misbehaviour},
	{"Verifier plugin", "downloaded from a registry (dynamic plugins)", downloaded},
	{"Store plugin", "signatures from an executable, checked against their digests", externalStore},
}

const (
	spdxJSON      = "application/spdx+json"
	sarifJSON     = "application/sarif+json"
	spdxTagValue  = "application/vnd.ratify.spdx.v0"
	notationType  = "application/vnd.cncf.notary.signature"
	everyArtifact = "default" // of artifactVerificationPolicies
)

// pluginImage pushes an image, and logs the row's home in to its registry.
func (e *environment) pluginImage(ctx context.Context, repository string) (image, error) {
	i, err := e.push(ctx, scenario.Demo, repository)
	if err != nil {
		return image{}, err
	}
	login, err := dockerConfig(scenario.Demo.Host, i.user, i.password)
	if err != nil {
		return image{}, err
	}
	_, err = e.write(".docker/config.json", login)
	return i, err
}

// attach attaches an artifact of one blob to something of the image's repository, as oras attach does.
func (i image) attach(ctx context.Context, to ocispec.Descriptor, artifactType, content string, created time.Time) (ocispec.Descriptor, error) {
	blob, err := oras.PushBytes(ctx, i.repo, artifactType, []byte(content))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return oras.PackManifest(ctx, i.repo, oras.PackManifestVersion1_1, artifactType, oras.PackManifestOptions{
		Subject: &to, Layers: []ocispec.Descriptor{blob},
		ManifestAnnotations: map[string]string{ocispec.AnnotationCreated: created.UTC().Format(time.RFC3339)},
	})
}

// pluginConfig returns config.json with these verifiers, and a policy by artifact type.
func (e *environment) pluginConfig(policy map[string]any, verifiers ...any) []byte {
	return e.world.Config(func(c map[string]any) {
		c["store"].(map[string]any)["plugins"] = []any{map[string]any{"name": "oras"}}
		c["policy"].(map[string]any)["plugin"].(map[string]any)["artifactVerificationPolicies"] = policy
		v := c["verifier"].(map[string]any)
		v["pluginBinDirs"] = []any{filepath.Join(e.dir, "plugins"), e.plugins}
		v["plugins"] = verifiers
	})
}

// pluginCase is an image with one artifact, and what becomes of it.
type pluginCase struct {
	name         string
	artifactType string
	content      string
	created      time.Time // now if zero
	outcome      string
	words        []string
}

// cases pushes an image for each case and asks about it.
func (e *environment) cases(ctx context.Context, config []byte, repository string, cases []pluginCase) error {
	for _, c := range cases {
		i, err := e.pluginImage(ctx, repository+"/"+c.name)
		if err != nil {
			return err
		}
		if c.created.IsZero() {
			c.created = time.Now()
		}
		if _, err := i.attach(ctx, i.desc, c.artifactType, c.content, c.created); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if err := e.expect(ctx, c.outcome, config, i.ref, c.words); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}
