package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The rows for what Kubernetes resources configure: the cluster's, and those of namespaces.
var tenantRows = []row{
	{"Kubernetes resources", "the guide's manifests", resourcesGuide},
	{"Kubernetes resources", "namespaced store, verifier, policy and keys", resourcesNamespaced},
	{"Kubernetes resources", "a mandatory cluster verifier", resourcesMandatory},
}

// clusterManifests are the guide's, for the instances of the world.
func clusterManifests(anchors string) string {
	return strings.NewReplacer(
		alibabaPlaceholder, indent(anchors, "      "), "cri-aaaaaaaaaaaa", scenario.Legacy.ID, "name1", scenario.Legacy.Name,
		"cri-bbbbbbbbbbbb", scenario.Standby.ID, "name2", scenario.Standby.Name, "cri-ccccccccc", scenario.Demo.ID,
	).Replace(alibabaManifests) + clusterPolicy
}

const clusterPolicy = `
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: Policy
metadata:
  name: ratify-policy
spec:
  type: configpolicy
  parameters:
    artifactVerificationPolicies:
      application/vnd.cncf.notary.signature: any
`

// tenantKeys is a namespace's key management provider.
func tenantKeys(namespace, anchors string) string {
	return `
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: NamespacedKeyManagementProvider
metadata:
  name: keys
  namespace: ` + namespace + `
spec:
  type: inline
  parameters:
    contentType: certificate
    value: |
` + indent(anchors, "      ") + "\n"
}

// tenantVerifier is a namespace's verifier, which trusts what a provider holds.
func tenantVerifier(namespace, provider string) string {
	return `
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: NamespacedVerifier
metadata:
  name: verifier-notation
  namespace: ` + namespace + `
spec:
  name: notation
  artifactTypes: application/vnd.cncf.notary.signature
  parameters:
    verificationCertStores:
      ca:
        own:
        - ` + provider + `
    trustPolicyDoc:
      version: "1.0"
      trustPolicies:
      - name: default
        registryScopes: ["*"]
        signatureVerification:
          level: strict
        trustStores: ["ca:own"]
        trustedIdentities: ["*"]
`
}

// expectKey checks the verdict about a key.
func (e *environment) expectKey(ctx context.Context, c *cluster, outcome, key string, words ...string) error {
	v, err := c.ask(ctx, key)
	if err != nil {
		return err
	}
	return e.count(v, outcome, key, words)
}

// pushSigned pushes an image and signs it with each identity.
func (e *environment) pushSigned(ctx context.Context, r scenario.Registry, repository string, signers ...signing.Identity) (string, error) {
	i, err := e.push(ctx, r, repository)
	if err != nil {
		return "", err
	}
	for _, signer := range signers {
		if err := signer.Sign(ctx, i.repo, i.desc, signing.JWS); err != nil {
			return "", err
		}
	}
	return i.ref, nil
}

// applied applies manifests in which nothing is wrong.
func (c *cluster) applied(ctx context.Context, manifests string) error {
	wrong, err := c.apply(ctx, manifests)
	if err == nil && len(wrong) > 0 {
		err = fmt.Errorf("statuses: %v", wrong)
	}
	return err
}

func resourcesGuide(ctx context.Context, e *environment) error {
	signer, err := signing.SelfSigned("notation")
	if err != nil {
		return err
	}
	c, err := e.startCluster()
	if err != nil {
		return err
	}
	defer c.stop()
	if err := c.applied(ctx, clusterManifests(signer.PEM())); err != nil {
		return err
	}
	for _, r := range []scenario.Registry{scenario.Demo, scenario.Legacy, scenario.Standby} {
		signed, err := e.pushSigned(ctx, r, "resources/signed", signer)
		if err != nil {
			return err
		}
		unsigned, err := e.pushSigned(ctx, r, "resources/unsigned")
		if err != nil {
			return err
		}
		if err := e.expectKey(ctx, c, "verified", signed, "CN=notation"); err != nil {
			return err
		}
		if err := e.expectKey(ctx, c, "refused", unsigned, "no signature was found"); err != nil {
			return err
		}
	}
	return nil
}

// startTenants starts a cluster, and returns the cluster's signer and a tenant's, too.
func (e *environment) startTenants() (ours, theirs signing.Identity, c *cluster, err error) {
	if ours, err = signing.SelfSigned("ours"); err != nil {
		return
	}
	if theirs, err = signing.SelfSigned("theirs"); err != nil {
		return
	}
	c, err = e.startCluster()
	return
}

// resourcesNamespaced asks about images of the cluster's signer and of a tenant's, for several namespaces.
func resourcesNamespaced(ctx context.Context, e *environment) error {
	ours, theirs, c, err := e.startTenants()
	if err != nil {
		return err
	}
	defer c.stop()
	wrong, err := c.apply(ctx, clusterManifests(ours.PEM())+
		tenantKeys("own", theirs.PEM())+tenantVerifier("own", "own/keys")+ // its keys and verifier, the cluster's store and policy
		tenantVerifier("borrower", "own/keys")+ // another tenant's keys
		tenantVerifier("sharer", "ratify-notation-inline-cert")+ // the cluster's keys
		`
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: NamespacedPolicy
metadata:
  name: ratify-policy
  namespace: sbom
spec:
  type: configpolicy
  parameters:
    artifactVerificationPolicies:
      application/spdx+json: all
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: NamespacedStore
metadata:
  name: store-oras
  namespace: elsewhere
spec:
  name: oras
  parameters:
    authProvider:
      name: alibabacloudAcrBasic
      defaultInstanceId: cri-gone000000000001
`)
	if err != nil {
		return err
	}
	const borrower = "NamespacedVerifier borrower/verifier-notation"
	if len(wrong) != 1 || !strings.Contains(wrong[borrower], `verificationCertStores.ca.own[0]`) || !strings.Contains(wrong[borrower], "another namespace") {
		return fmt.Errorf("statuses: %v; want one, of %s, about another namespace's keys", wrong, borrower)
	}
	byOurs, err := e.pushSigned(ctx, scenario.Demo, "tenants/ours", ours)
	if err != nil {
		return err
	}
	byTheirs, err := e.pushSigned(ctx, scenario.Demo, "tenants/theirs", theirs)
	if err != nil {
		return err
	}
	for _, want := range []struct{ key, outcome, says string }{
		{byOurs, "verified", "CN=ours"},
		{byTheirs, "refused", "no trust store holds the issuer of CN=theirs"},
		{"[another]" + byOurs, "verified", "CN=ours"},
		{"[own]" + byTheirs, "verified", "CN=theirs"},
		{"[own]" + byOurs, "refused", "no trust store holds the issuer of CN=ours"},
		{"[sharer]" + byOurs, "verified", "CN=ours"},
		{"[borrower]" + byTheirs, "undetermined", borrower + " cannot be used"},
		{"[sbom]" + byOurs, "refused", `"isSuccess":false`},
		{"[elsewhere]" + byOurs, "undetermined", "cri-gone000000000001"},
	} {
		if err := e.expectKey(ctx, c, want.outcome, want.key, want.says); err != nil {
			return err
		}
	}
	return nil
}

// resourcesMandatory has a tenant with keys of its own, beside a cluster whose verifier is mandatory.
func resourcesMandatory(ctx context.Context, e *environment) error {
	ours, theirs, c, err := e.startTenants()
	if err != nil {
		return err
	}
	defer c.stop()
	images := make(map[string]string)
	for name, signers := range map[string][]signing.Identity{"ours": {ours}, "theirs": {theirs}, "both": {ours, theirs}, "none": nil} {
		if images[name], err = e.pushSigned(ctx, scenario.Demo, "mandatory/"+name, signers...); err != nil {
			return err
		}
	}
	const name = "  name: notation\n  parameters:\n"
	optional := clusterManifests(ours.PEM()) + tenantKeys("own", theirs.PEM()) + tenantVerifier("own", "own/keys")
	for _, run := range []struct {
		manifests, ours, theirs, both, none string
	}{
		{optional, "refused", "verified", "verified", "refused"},
		{strings.Replace(optional, name, name+"    mandatory: true\n", 1), "refused", "refused", "verified", "refused"},
	} {
		if err := c.applied(ctx, run.manifests); err != nil {
			return err
		}
		for kind, outcome := range map[string]string{"ours": run.ours, "theirs": run.theirs, "both": run.both, "none": run.none} {
			if err := e.expectKey(ctx, c, outcome, "[own]"+images[kind], `"verifierReports"`); err != nil {
				return err
			}
		}
	}
	return nil
}
