package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// seen is how soon a change of a resource counts in admissions.
const seen = 15 * time.Second

// checkTenants has two tenants beside the cluster's configuration: one without a configuration of its own, one with a verifier and keys.
func checkTenants(ctx context.Context, e *environment) error {
	const plain, own = "team-plain", "team-own"
	images := make(map[string]string)
	for name, kinds := range map[string][]scenario.Kind{
		"cluster": {scenario.SignedJWS}, "tenant": {scenario.SelfSigned}, "both": {scenario.SignedJWS, scenario.SelfSigned}, "none": nil,
	} {
		var err error
		if images[name], _, err = e.push(ctx, scenario.Demo, "tenants/"+name, kinds...); err != nil {
			return err
		}
	}
	// expect checks which of the images a namespace admits.
	expect := func(namespace string, admitted ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			var errs []error
			for name, image := range images {
				if slices.Contains(admitted, name) {
					errs = append(errs, e.admitted(ctx, namespace, image))
				} else {
					errs = append(errs, e.refused(ctx, namespace, image))
				}
			}
			return errors.Join(errs...)
		}
	}
	soon := func(what string, f func(context.Context) error) {
		e.check(ctx, what, func(ctx context.Context) error { return eventually(ctx, seen, f) })
	}
	// The chart's policy wants all signatures of an image to be right; here, one that the verifier trusts is to suffice.
	policy := func(rule string) error {
		_, err := e.kubectl(ctx, "patch", "policies.config.ratify.deislabs.io", "ratify-policy", "--type=merge", "--patch",
			`{"spec": {"parameters": {"artifactVerificationPolicies": {"default": "`+rule+`"}}}}`)
		return err
	}
	if err := policy("any"); err != nil {
		return err
	}
	for _, namespace := range []string{plain, own} {
		if err := e.apply(ctx, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "`+namespace+`"}}`); err != nil {
			return err
		}
	}
	if _, err := e.kubectl(ctx, "apply", "--filename=library/multi-tenancy-validation/template.yaml"); err != nil {
		return err
	}
	if _, err := e.kubectl(ctx, "patch", "ratifyverification", "ratify-constraint", "--type=merge", "--patch",
		`{"spec": {"match": {"namespaces": ["default", "`+plain+`", "`+own+`"]}}}`); err != nil {
		return err
	}
	e.check(ctx, "the constraint denies in the tenants' namespaces", func(ctx context.Context) error {
		return eventually(ctx, time.Minute, func(ctx context.Context) error {
			return errors.Join(e.refused(ctx, plain, images["none"]), e.refused(ctx, own, images["none"]))
		})
	})
	if err := e.apply(ctx, tenant(own, strings.TrimPrefix(e.world.Anchors(), e.world.Root()))); err != nil {
		return err
	}
	soon("a tenant's verifier counts in its namespace", expect(own, "tenant", "both"))
	soon("and in no other", func(ctx context.Context) error {
		return errors.Join(expect(plain, "cluster", "both")(ctx), expect("default", "cluster", "both")(ctx))
	})
	mandatory := func(value string) error {
		_, err := e.kubectl(ctx, "patch", "verifier", "verifier-notation", "--type=merge", "--patch", `{"spec": {"parameters": {"mandatory": `+value+`}}}`)
		return err
	}
	if err := mandatory("true"); err != nil {
		return err
	}
	soon("the cluster's mandatory verifier counts, too", expect(own, "both"))
	if err := mandatory("null"); err != nil {
		return err
	}
	if _, err := e.kubectl(ctx, "delete", "namespace", plain, own); err != nil {
		return err
	}
	return errors.Join(policy("all"), e.applyLibrary(ctx))
}

// tenant returns the resources of a namespace that trusts certificates of its own.
func tenant(namespace, certificates string) string {
	return `
apiVersion: config.ratify.deislabs.io/v1beta1
kind: NamespacedKeyManagementProvider
metadata: {name: keys, namespace: ` + namespace + `}
spec:
  type: inline
  parameters:
    contentType: certificate
    value: |
      ` + strings.ReplaceAll(strings.TrimSpace(certificates), "\n", "\n      ") + `
---
apiVersion: config.ratify.deislabs.io/v1beta1
kind: NamespacedVerifier
metadata: {name: verifier-notation, namespace: ` + namespace + `}
spec:
  name: notation
  artifactTypes: application/vnd.cncf.notary.signature
  parameters:
    verificationCertStores: {ca: {own: [` + namespace + `/keys]}}
    trustPolicyDoc:
      version: "1.0"
      trustPolicies:
      - name: default
        registryScopes: ["*"]
        signatureVerification: {level: strict}
        trustStores: ["ca:own"]
        trustedIdentities: ["*"]
`
}
