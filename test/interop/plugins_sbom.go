package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func sbom(packages ...[3]string) string {
	var all []any
	for i, p := range packages {
		all = append(all, map[string]any{"SPDXID": fmt.Sprint("SPDXRef-Package-", i), "name": p[0], "versionInfo": p[1],
			"licenseConcluded": p[2], "licenseDeclared": p[2], "copyrightText": "NOASSERTION", "downloadLocation": "NOASSERTION"})
	}
	content, err := json.Marshal(map[string]any{"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "app",
		"documentNamespace": "https://example.com/app", "packages": all,
		"creationInfo": map[string]any{"created": "2026-01-01T00:00:00Z", "creators": []string{"Tool: interop"}}})
	if err != nil {
		panic(err) // of texts only
	}
	return string(content)
}

// cleanSBOM has nothing that is disallowed.
var cleanSBOM = sbom([3]string{"musl", "1.2.3-r5", "MIT"}, [3]string{"musl-utils", "1.2.3-r5", "MIT"})

func sbomContents(ctx context.Context, e *environment) error {
	// The parameters of config_v1beta1_verifier_sbom_deny.yaml among Ratify's samples.
	config := e.pluginConfig(map[string]any{everyArtifact: "all"}, map[string]any{
		"name": "verifier-sbom", "type": "sbom", "version": "2.0.0-alpha.1", "artifactTypes": spdxJSON,
		"disallowedLicenses": []string{"Zlib"}, "disallowedPackages": []any{map[string]string{"name": "musl-utils", "version": "1.2.3-r4"}},
	})
	return e.cases(ctx, config, "sbom", []pluginCase{
		{"clean", spdxJSON, cleanSBOM, time.Time{}, "verified", []string{"No license or package violation found"}},
		{"license", spdxJSON, sbom([3]string{"zlib", "1", "MIT AND Zlib"}), time.Time{}, "refused", []string{"License or package violation found", "licenseViolations"}},
		{"package", spdxJSON, sbom([3]string{"musl-utils", "1.2.3-r4", "MIT"}), time.Time{}, "refused", []string{"packageViolations", "musl-utils"}},
		{"broken", spdxJSON, `{"spdxVersion": 1}`, time.Time{}, "refused", []string{"verifier-sbom"}},
	})
}

// signedSBOM pushes an image that is signed, with an SBOM that has the signature of signer, if that is not nil.
func (e *environment) signedSBOM(ctx context.Context, repository string, good signing.Identity, signer *signing.Identity) (image, error) {
	i, err := e.pluginImage(ctx, repository)
	if err != nil {
		return image{}, err
	}
	if err := good.Sign(ctx, i.repo, i.desc, signing.JWS); err != nil {
		return image{}, err
	}
	sbom, err := i.attach(ctx, i.desc, spdxJSON, cleanSBOM, time.Now())
	if err != nil || signer == nil {
		return i, err
	}
	return i, signer.Sign(ctx, i.repo, sbom, signing.COSE)
}

// signers returns a trusted signer and a stranger, and the verifiers: of signatures, and of SBOMs with nested references.
func signers(e *environment) (good, stranger signing.Identity, verifiers []any, err error) {
	if good, err = signing.SelfSigned("builder"); err != nil {
		return
	}
	if stranger, err = signing.SelfSigned("stranger"); err != nil {
		return
	}
	anchor, err := e.write("anchor.pem", []byte(good.PEM()))
	return good, stranger, []any{
		map[string]any{"name": "notation", "artifactTypes": notationType, "verificationCerts": []string{anchor}, "trustPolicyDoc": map[string]any{
			"version": "1.0", "trustPolicies": []any{map[string]any{"name": "all", "registryScopes": []string{"*"},
				"signatureVerification": map[string]any{"level": "strict"}, "trustStores": []string{"ca:certs"}, "trustedIdentities": []string{"*"}}}}},
		map[string]any{"name": "sbom", "artifactTypes": spdxJSON, "nestedReferences": notationType},
	}, err
}

func sbomSigned(ctx context.Context, e *environment) error {
	good, stranger, verifiers, err := signers(e)
	if err != nil {
		return err
	}
	config := e.pluginConfig(map[string]any{notationType: "any", everyArtifact: "all"}, verifiers...)
	for _, c := range []struct {
		name   string
		signer *signing.Identity
		words  []string
	}{
		{"signed", &good, nil},
		{"unsigned", nil, []string{"nestedReferences"}},
		{"stranger", &stranger, []string{"no trust store holds the issuer of CN=stranger"}},
	} {
		i, err := e.signedSBOM(ctx, "nested/"+c.name, good, c.signer)
		if err != nil {
			return err
		}
		expect := e.refuses
		if c.words == nil {
			expect = e.admits
		}
		if err := expect(ctx, config, i.ref, c.words...); err != nil {
			return err
		}
	}
	return nil
}

// sbomPolicy admits images with an SBOM that verifies and has a signature that does.
const sbomPolicy = `
package ratify.policy

default valid := false

valid {
	some i
	sbom := input.verifierReports[i]
	sbom.artifactType == "application/spdx+json"
	sbom.verifierReports[_].isSuccess
	some j
	signature := sbom.nestedReports[j]
	signature.artifactType == "application/vnd.cncf.notary.signature"
	signature.verifierReports[_].isSuccess
}`

func sbomRego(ctx context.Context, e *environment) error {
	good, stranger, verifiers, err := signers(e)
	if err != nil {
		return err
	}
	var c map[string]any
	if err := json.Unmarshal(e.pluginConfig(nil, verifiers...), &c); err != nil {
		return err
	}
	c["policy"] = map[string]any{"version": "1.0.0", "plugin": map[string]any{"name": "regopolicy", "policy": sbomPolicy}}
	config, err := json.Marshal(c)
	if err != nil {
		return err
	}
	for _, c := range []struct {
		name   string
		signer *signing.Identity
		words  []string
	}{
		{"unsigned", nil, []string{`"nestedReports": []`}},
		{"stranger", &stranger, []string{"nestedReports", "no trust store holds the issuer of CN=stranger"}},
		{"signed", &good, nil},
	} {
		i, err := e.signedSBOM(ctx, "rego/"+c.name, good, c.signer)
		if err != nil {
			return err
		}
		if c.words == nil {
			err = e.admits(ctx, config, i.ref, "nestedReports", "CN=builder")
		} else {
			err = e.refuses(ctx, config, i.ref, c.words...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
