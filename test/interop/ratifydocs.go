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

// ratifySample is the sample with timestamping, and the providers that it names.
const ratifySample = `
apiVersion: config.ratify.deislabs.io/v1beta1
kind: Verifier
metadata:
  name: verifier-notation
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
            verifyTimestamp: "always" # The default value is` + " `always`" + `, which means timestamp will always be validated. If you want to verify timestamp only when any code signing certificate has expired, set the value to` + " `afterCertExpiry`" + `.
          trustStores:
            - ca:ca-certs
            - tsa:tsa-certs # To enable timestamp verification,` + " `tsa`" + ` type of trust stores MUST be configured.
          trustedIdentities:
            - "*"
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: KeyManagementProvider
metadata:
  name: kmp-akv-ca
spec:
  type: inline
  parameters:
    contentType: certificate
    value: |
$CA
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: KeyManagementProvider
metadata:
  name: kmp-akv-tsa
spec:
  type: inline
  parameters:
    contentType: certificate
    value: |
$TSA
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
	tsa, tsaRoot, err := newTSA("tsa", nil)
	if err != nil {
		return err
	}
	defer tsa.Close()
	config, err := e.fromManifests(strings.NewReplacer("$CA", indent(root.PEM(), "      "), "$TSA", indent(tsaRoot.PEM(), "      ")).Replace(ratifySample),
		"gatekeeper-system/kmp-akv-ca", "gatekeeper-system/kmp-akv-tsa")
	if err != nil {
		return err
	}
	image, err := e.push(ctx, scenario.Demo, "docs/timestamped")
	if err != nil {
		return err
	}
	if err := leaf.Sign(ctx, image.repo, image.desc, signing.JWS); err != nil {
		return err
	}
	if err := e.refuses(ctx, config, image.ref, "no timestamp countersignature was found"); err != nil {
		return err
	}
	if err := leaf.SignTimestamped(ctx, image.repo, image.desc, signing.JWS, tsa); err != nil {
		return err
	}
	return e.admits(ctx, config, image.ref, "CN=documentation")
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
