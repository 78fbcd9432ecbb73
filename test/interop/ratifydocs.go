package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The rows for the page "Notation" of Ratify 1.3's documentation, https://ratify.dev/docs/1.3/plugins/verifier/notation.
var ratifyDocsRows = []row{
	{"Ratify docs", "Verifier manifest with ca and tsa stores", ratifyManifests},
	{"Ratify docs", "CLI config.json with verificationCerts", ratifyCLI},
}

// ratifySample is the sample with timestamping, with the providers that it names and a store. The sample's verifier is the cluster's; but those have no
// access to a namespace's providers, here and, for requests of the cluster, in Ratify.
const ratifySample = `
apiVersion: config.ratify.deislabs.io/v1beta1
kind: NamespacedVerifier
metadata:
  name: verifier-notation
  namespace: gatekeeper-system
spec:
  name: notation
  artifactTypes: application/vnd.cncf.notary.signature
  parameters:
    verificationCertStores:
      ca:
        ca-certs:
          - gatekeeper-system/kmp-akv-ca
      tsa:
        tsa-certs:
          - gatekeeper-system/kmp-akv-tsa
    trustPolicyDoc:
      version: "1.0"
      trustPolicies:
        - name: default
          registryScopes:
            - "*"
          signatureVerification:
            level: strict
            verifyTimestamp: "always"
          trustStores:
            - ca:ca-certs
            - tsa:tsa-certs
          trustedIdentities:
            - "*"
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: NamespacedKeyManagementProvider
metadata:
  name: kmp-akv-ca
  namespace: gatekeeper-system
spec:
  type: inline
  parameters:
    contentType: certificate
    value: |
$CA
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: NamespacedKeyManagementProvider
metadata:
  name: kmp-akv-tsa
  namespace: gatekeeper-system
spec:
  type: inline
  parameters:
    contentType: certificate
    value: |
$TSA
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: Store
metadata:
  name: store-oras
spec:
  name: oras
  parameters:
    authProvider:
      name: alibabacloudAcrBasic
      defaultInstanceId: $INSTANCE
`

func ratifyManifests(ctx context.Context, e *environment) error {
	root, err := signing.Root("Documentation Root CA")
	if err != nil {
		return err
	}
	leaf, err := root.Leaf("documentation", signing.Validity{})
	if err != nil {
		return err
	}
	if err := e.addIdentity("leaf", leaf); err != nil {
		return err
	}
	tsa, tsaRoot, err := newTSA("tsa", nil)
	if err != nil {
		return err
	}
	defer tsa.Close()
	tsaFile, err := e.write("tsa.pem", []byte(tsaRoot.PEM()))
	if err != nil {
		return err
	}
	c, err := e.startCluster()
	if err != nil {
		return err
	}
	defer c.stop()
	fill := strings.NewReplacer("$CA", indent(root.PEM(), "      "), "$TSA", indent(tsaRoot.PEM(), "      "), "$INSTANCE", scenario.Demo.ID)
	if err := c.applied(ctx, fill.Replace(ratifySample)+clusterPolicy); err != nil {
		return err
	}
	t := trust{
		policy: everywhere("strict", "ca:ca-certs", "tsa:tsa-certs"),
		stores: map[string]string{"ca:ca-certs": root.PEM(), "tsa:tsa-certs": tsaRoot.PEM()},
	}
	image, err := e.push(ctx, scenario.Demo, "docs/timestamped")
	if err != nil {
		return err
	}
	if err := e.sign(ctx, "leaf", image); err != nil {
		return err
	}
	if err := e.expectKey(ctx, c, "refused", "[gatekeeper-system]"+image.ref, "no timestamp countersignature was found"); err != nil {
		return err
	}
	if err := e.notationSays(ctx, t, image, false); err != nil {
		return err
	}
	if err := e.sign(ctx, "leaf", image, "--timestamp-url", tsa.URL(), "--timestamp-root-cert", tsaFile); err != nil {
		return err
	}
	if err := e.expectKey(ctx, c, "verified", "[gatekeeper-system]"+image.ref, "CN=documentation"); err != nil {
		return err
	}
	return e.notationSays(ctx, t, image, true)
}

// ratifyCLISample is the sample of a CLI config, but for a comma after "oras" that JSON does not allow.
const ratifyCLISample = `{
  "store": {
    "version": "1.0.0",
    "plugins": [
      {
        "name": "oras"
      }
    ]
  },
  "policy": {
    "version": "1.0.0",
    "plugin": {
      "name": "configPolicy",
      "artifactVerificationPolicies": {
        "application/spdx+json": "all"
      }
    }
  },
  "verifier": {
    "version": "1.0.0",
    "plugins": [
      {
        "name": "notation",
        "artifactTypes": "application/spdx+json",
        "verificationCerts": [
          "/usr/local/ratify-certs/notation/truststore"
        ],
        "trustPolicyDoc": {
          "version": "1.0",
          "trustPolicies": [
            {
              "name": "default",
              "registryScopes": [
                "*"
              ],
              "signatureVerification": {
                "level": "strict"
              },
              "trustStores": [
                "ca:ca-certs"
              ],
              "trustedIdentities": [
                "*"
              ]
            }
          ]
        }
      }
    ]
  }
}`

// The sample asks notation about SBOMs. As it stands, notation's signatures do not count; with their type in its place they do.
func ratifyCLI(ctx context.Context, e *environment) error {
	root, err := signing.Root("Documentation Root CA")
	if err != nil {
		return err
	}
	leaf, err := root.Leaf("documentation", signing.Validity{})
	if err != nil {
		return err
	}
	stranger, err := signing.SelfSigned("stranger")
	if err != nil {
		return err
	}
	if _, err := e.write("truststore/root.crt", []byte(root.PEM())); err != nil {
		return err
	}
	signed, err := e.push(ctx, scenario.Demo, "docs/cli")
	if err != nil {
		return err
	}
	strange, err := e.push(ctx, scenario.Demo, "docs/stranger")
	if err != nil {
		return err
	}
	// The sample's store has no auth provider: credentials come from Docker's config, as it is after docker login.
	login, err := dockerConfig(scenario.Demo.Host, signed.user, signed.password)
	if err != nil {
		return err
	}
	if _, err := e.write(".docker/config.json", login); err != nil {
		return err
	}
	if err := leaf.Sign(ctx, signed.repo, signed.desc, signing.JWS); err != nil {
		return err
	}
	if err := stranger.Sign(ctx, strange.repo, strange.desc, signing.JWS); err != nil {
		return err
	}
	sample := strings.Replace(ratifyCLISample, "/usr/local/ratify-certs/notation/truststore", e.dir+"/truststore", 1)
	if err := e.refuses(ctx, []byte(sample), signed.ref, "no signature was found"); err != nil {
		return err
	}
	mended := []byte(strings.ReplaceAll(sample, "application/spdx+json", "application/vnd.cncf.notary.signature"))
	if err := e.admits(ctx, mended, signed.ref, "CN=documentation"); err != nil {
		return err
	}
	return e.refuses(ctx, mended, strange.ref, "no trust store holds the issuer of CN=stranger")
}

// dockerConfig returns what docker login writes.
func dockerConfig(host, user, password string) ([]byte, error) {
	return json.Marshal(map[string]any{"auths": map[string]any{host: map[string]any{
		"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password)),
	}}})
}
