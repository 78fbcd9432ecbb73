package main

import (
	"context"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// The rows for "Use Notation and Ratify for OCI artifact signing and signature verification" of Container Service for Kubernetes.
var alibabaRows = []row{
	{"Alibaba Cloud", "the guide: KMS RSA_2048, its variables and manifests", alibabaGuide},
	{"Alibaba Cloud", "the guide: a key of one's own, imported into KMS", alibabaImport},
	{"Alibaba Cloud", "KMS EC_P256 over the OpenAPI with RRSA, COSE", alibabaOpenAPI},
	{"Alibaba Cloud", "KMS keys with certificates of an authority", alibabaIssued},
	{"Alibaba Cloud", "a registry without the referrers API", alibabaTagSchema},
	{"Alibaba Cloud", "trust anchors in KMS: a certificate is rotated", alibabaRotation},
	{"Alibaba Cloud", "trust anchors in KMS: cosign, a key is disabled", alibabaCosign},
}

// alibabaManifests are the guide's, verbatim.
const alibabaManifests = `
apiVersion: config.ratify.deislabs.io/v1beta1
kind: Verifier
metadata:
  name: verifier-notation
spec:
  artifactTypes: application/vnd.cncf.notary.signature
  name: notation
  parameters:
    trustPolicyDoc:
      trustPolicies:
      - name: default
        registryScopes:
        - '*'
        signatureVerification:
          level: strict
        trustStores:
        - ca:certs
        trustedIdentities:
        - '*'
      version: "1.0"
    verificationCertStores:
      certs:
      - ratify-notation-inline-cert
  version: 1.0.0
status:
  issuccess: true
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: KeyManagementProvider
metadata:
  name: ratify-notation-inline-cert
spec:
  parameters:
    contentType: certificate
    value: |
      -----BEGIN CERTIFICATE-----
      XXXXXX
      XXXXXX
      XXXXXX
      -----END CERTIFICATE-----
  type: inline
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: Store
metadata:
  name: store-oras
spec:
  name: oras
  parameters:
    authProvider:
      acrInstancesConfig:
      - instanceName: name1
        instanceId: cri-aaaaaaaaaaaa
      - instanceName: name2
        instanceId: cri-bbbbbbbbbbbb
      defaultInstanceId: cri-ccccccccc
      name: alibabacloudAcrBasic
`

// alibabaPlaceholder is the certificate in alibabaManifests.
const alibabaPlaceholder = `      -----BEGIN CERTIFICATE-----
      XXXXXX
      XXXXXX
      XXXXXX
      -----END CERTIFICATE-----`

func alibabaGuide(ctx context.Context, e *environment) error {
	registries := []scenario.Registry{scenario.Demo}
	for _, name := range []string{"name1", "name2"} {
		instance := emulator.Instance{Name: name, ID: emulator.DefaultID(name), Region: scenario.Demo.Region}
		if err := e.world.Cloud.AddInstance(instance); err != nil {
			return err
		}
		registries = append(registries, scenario.Registry{Name: name, ID: instance.ID, Region: instance.Region, Host: instance.Hosts()[0]})
	}
	s, err := e.newKMSSigner(ctx, "kst-guide")
	if err != nil {
		return err
	}
	kms, err := s.newKey("RSA_2048")
	if err != nil {
		return err
	}
	another, err := s.newKey("RSA_2048") // whose certificate is not in the trust store
	if err != nil {
		return err
	}
	config := func() ([]byte, error) {
		return e.fromManifests(strings.NewReplacer(
			alibabaPlaceholder, indent(kms.certificate(), "      "),
			"cri-aaaaaaaaaaaa", registries[1].ID, "cri-bbbbbbbbbbbb", registries[2].ID, "cri-ccccccccc", registries[0].ID,
		).Replace(alibabaManifests))
	}
	for _, r := range registries {
		image, err := e.push(ctx, r, "test/nginx")
		if err != nil {
			return err
		}
		if err := s.sign(ctx, another, image); err != nil {
			return err
		}
		signed, err := e.push(ctx, r, "test/signed")
		if err != nil {
			return err
		}
		if err := s.sign(ctx, kms, signed); err != nil {
			return err
		}
		t := trust{policy: everywhere("strict", "ca:certs"), stores: map[string]string{"ca:certs": kms.certificate()}}
		c, err := config()
		if err != nil {
			return err
		}
		if err := e.agreeWith(ctx, c, t, image, false, "no trust store holds the issuer of CN=notation,OU=Ack,O=AlibabaCloud,C=CN"); err != nil {
			return err
		}
		if err := e.agreeWith(ctx, c, t, signed, true, "CN=notation,OU=Ack,O=AlibabaCloud,C=CN"); err != nil {
			return err
		}
	}
	return nil
}

// The notation command signs one image; its signature is then attached to another.
func alibabaTagSchema(ctx context.Context, e *environment) error {
	s, err := e.newKMSSigner(ctx, "kst-legacy")
	if err != nil {
		return err
	}
	key, err := s.newKey("EC_P256")
	if err != nil {
		return err
	}
	signed, err := e.push(ctx, scenario.Legacy, "interop/signed")
	if err != nil {
		return err
	}
	if err := s.sign(ctx, key, signed); err != nil {
		return err
	}
	t := trust{policy: everywhere("strict", "ca:certs"), stores: map[string]string{"ca:certs": key.certificate()}}
	if err := e.agree(ctx, t, signed, true, "CN=notation"); err != nil {
		return err
	}
	other, err := e.push(ctx, scenario.Legacy, "interop/other")
	if err != nil {
		return err
	}
	if err := moveSignature(ctx, signed, other); err != nil {
		return err
	}
	return e.agree(ctx, t, other, false, "not for this image")
}
