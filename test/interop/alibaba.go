package main

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The rows for "Use Notation and Ratify for OCI artifact signing and signature verification" of Container Service for Kubernetes.
var alibabaRows = []row{
	{"Alibaba Cloud", "KMS self-signed, JWS, the guide's manifests", alibabaGuide},
	{"Alibaba Cloud", "a registry without the referrers API", alibabaTagSchema},
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

// alibabaCertificate is what the KMS plugin makes for an RSA_2048 key: a new one with the same subject for each signature.
func alibabaCertificate() (signing.Identity, error) {
	return signing.New("notation", signing.Options{
		Key:         signing.RSA2048,
		Subject:     &pkix.Name{Country: []string{"CN"}, Organization: []string{"AlibabaCloud"}, OrganizationalUnit: []string{"Ack"}, CommonName: "notation"},
		ExtKeyUsage: []x509.ExtKeyUsage{},
		Change: func(c *x509.Certificate) {
			c.SignatureAlgorithm, c.BasicConstraintsValid = x509.SHA256WithRSAPSS, false
		},
	})
}

func alibabaGuide(ctx context.Context, e *environment) error {
	registries := []scenario.Registry{scenario.Demo}
	for _, name := range []string{"name1", "name2"} {
		instance := emulator.Instance{Name: name, ID: emulator.DefaultID(name), Region: scenario.Demo.Region}
		if err := e.world.Cloud.AddInstance(instance); err != nil {
			return err
		}
		registries = append(registries, scenario.Registry{Name: name, ID: instance.ID, Region: instance.Region, Host: instance.Hosts()[0]})
	}
	kms, err := alibabaCertificate()
	if err != nil {
		return err
	}
	again, err := alibabaCertificate() // of a later signature, which is not in the trust store
	if err != nil {
		return err
	}
	for name, identity := range map[string]signing.Identity{"kms": kms, "again": again} {
		if err := e.addIdentity(name, identity); err != nil {
			return err
		}
	}
	config, err := e.fromManifests(strings.NewReplacer(
		alibabaPlaceholder, indent(kms.PEM(), "      "),
		"cri-aaaaaaaaaaaa", registries[1].ID, "cri-bbbbbbbbbbbb", registries[2].ID, "cri-ccccccccc", registries[0].ID,
	).Replace(alibabaManifests))
	if err != nil {
		return err
	}
	t := trust{policy: everywhere("strict", "ca:certs"), stores: map[string]string{"ca:certs": kms.PEM()}}
	for _, r := range registries {
		image, err := e.push(ctx, r, "test/nginx")
		if err != nil {
			return err
		}
		if err := e.agreeWith(ctx, config, t, image, false, "no signature was found"); err != nil {
			return err
		}
		if err := e.sign(ctx, "again", image); err != nil {
			return err
		}
		if err := e.agreeWith(ctx, config, t, image, false, "no trust store holds the issuer of CN=notation,OU=Ack,O=AlibabaCloud,C=CN"); err != nil {
			return err
		}
		if err := e.sign(ctx, "kms", image); err != nil {
			return err
		}
		if err := e.agreeWith(ctx, config, t, image, true, "CN=notation,OU=Ack,O=AlibabaCloud,C=CN"); err != nil {
			return err
		}
	}
	return nil
}

// The notation command signs one image; its signature is then attached to another.
func alibabaTagSchema(ctx context.Context, e *environment) error {
	kms, err := alibabaCertificate()
	if err != nil {
		return err
	}
	if err := e.addIdentity("kms", kms); err != nil {
		return err
	}
	t := trust{policy: everywhere("strict", "ca:certs"), stores: map[string]string{"ca:certs": kms.PEM()}}
	signed, err := e.push(ctx, scenario.Legacy, "interop/signed")
	if err != nil {
		return err
	}
	if err := e.sign(ctx, "kms", signed); err != nil {
		return err
	}
	if err := e.agree(ctx, t, signed, true, "CN=notation"); err != nil {
		return err
	}
	other, err := e.push(ctx, scenario.Legacy, "interop/other")
	if err != nil {
		return err
	}
	envelope, err := kms.Envelope(signed.desc, signing.JWS, kms.Certificate().NotBefore.AddDate(0, 0, 1))
	if err != nil {
		return err
	}
	if err := kms.Attach(ctx, other.repo, other.desc, signing.JWS, envelope); err != nil {
		return err
	}
	return e.agree(ctx, t, other, false, "not for this image")
}
