package chart

import (
	"strings"
	"testing"
)

// What is wrong is told with its name before anything is installed.
func TestRefusals(t *testing.T) {
	for values, want := range map[string]string{
		"foo: 1":                  "additional properties 'foo' not allowed",
		"replicaCount: two":       "at '/replicaCount': got string, want integer",
		"image: {tag: 1.2}":       "at '/image/tag': got number, want string",
		"image: {digest: latest}": "at '/image/digest'",
		"image: {variant: tiny}":  "at '/image/variant': value must be one of 'full', 'slim'",
		"image: {variant: null}":  "at '/image': missing property 'variant'",
		slim("cosignKeys: [one]"): "image.variant is slim, and its image cannot do what cosign.enabled asks for: set image.variant=full, or leave that out",
		slim("cosign: {keyless: {certificateIdentity: a, certificateOIDCIssuer: b}}"):                          "what cosign.enabled asks for",
		slim("alibabacloudkms: {enabled: true, keys: [{keyId: key-a}]}"):                                       "what cosign.enabled asks for",
		slim("azurekeyvault: {enabled: true}\nsbom: {enabled: true}"):                                          "what azurekeyvault.enabled, sbom.enabled asks for",
		slim("akvCertConfig: {enabled: true}"):                                                                 "what akvCertConfig.enabled asks for",
		slim("vulnerabilityreport: {enabled: true}"):                                                           "what vulnerabilityreport.enabled asks for",
		slim("policy: {useRego: true}"):                                                                        "what policy.useRego asks for",
		slim("oras: {authProviders: {awsEcrBasicEnabled: true}}"):                                              "what oras.authProviders.awsEcrBasicEnabled asks for",
		slim("oras: {authProviders: {azureManagedIdentityEnabled: true, azureWorkloadIdentityEnabled: true}}"): "what oras.authProviders.azureManagedIdentityEnabled, oras.authProviders.azureWorkloadIdentityEnabled asks for",
		"oras: {authProviders: {alibabacloudAcrBasic: true}}":                                                  "at '/oras/authProviders': additional properties 'alibabacloudAcrBasic' not allowed",
		"featureFlags: {CERT_ROTATION: true}":                                                                  "at '/featureFlags': additional properties 'CERT_ROTATION' not allowed",
		"featureFlags: {RATIFY_CERT_ROTATION: \"true\"}":                                                       "at '/featureFlags/RATIFY_CERT_ROTATION': got string, want boolean",
		"alibabacloud: {rrsa: {roleName: \"acs:ram::1:role/r\"}}":                                              "at '/alibabacloud/rrsa/roleName'",
		"alibabacloudAcrConfig: {defaultInstanceId: name1}":                                                    "at '/alibabacloudAcrConfig/defaultInstanceId'",
		"alibabacloudAcrConfig: {defaultInstance: cri-a}":                                                      "additional properties 'defaultInstance' not allowed",
		"logger: {formatter: xml}":                                                                             "at '/logger/formatter': value must be one of 'text', 'json', 'logstash'",
		"notation: {trustPolicies: []}":                                                                        "at '/notation/trustPolicies': minItems",
		"notation: {trustPolicies: [{registryScopes: ['*'], level: strickt}]}":                                 "value must be one of 'strict', 'permissive', 'audit', 'skip'",
		"notation: {trustPolicies: [{registryScopes: ['*'], trustStores: [certs]}]}":                           "at '/notation/trustPolicies/0/trustStores/0'",
		"notation: {trustPolicies: [{registryScopes: ['*'], trustStores: [\"ca:here\"]}]}":                     `trust store "ca:here": what follows the type is notationCerts[<index>], alibabacloudkms or azurekeyvault`,
		"notation: {trustPolicies: [{registryScopes: ['*'], trustStores: [\"ca:notationCerts[0]\"]}]}":         `trust store "ca:notationCerts[0]": notationCerts has 0 entries`,
		"notation: {trustPolicies: [{registryScopes: ['*'], trustStores: [\"ca:AzureKeyVault\"]}]}":            `trust store "ca:AzureKeyVault": azurekeyvault.enabled is false`,
		"notation: {trustPolicies: [{registryScopes: ['*'], trustStores: [\"ca:alibabacloudkms\"]}]}":          `trust store "ca:alibabacloudkms": alibabacloudkms.enabled is false`,
		"notation: {trustPolicies: [{registryScopes: [a]}, {registryScopes: [b]}]}":                            "notation.trustPolicies[0].trustStores is empty",
		"notationCert: a\nnotationCerts: [b]":                                                                  "notationCert and notationCerts are both set",
		"featureFlags: {RATIFY_CERT_ROTATION: false}":                                                          "no TLS certificate: set featureFlags.RATIFY_CERT_ROTATION=true",
		"provider: {tls: {crt: a}}":                                                                            "provider.tls needs all of crt, key, caCert, caKey and cabundle",
		"provider: {tls: {crt: a, key: b, caCert: c, caKey: d}}":                                               "provider.tls.cabundle is missing",
		"alibabacloudkms: {enabled: true}":                                                                     "neither certificates nor keys are given",
		"alibabacloudkms: {enabled: true, certificates: [{secret: s}]}":                                        "at '/alibabacloudkms/certificates/0'",
		"instrumentation: {metricsEnabled: false, serviceMonitor: {enabled: true}}":                            "instrumentation.serviceMonitor.enabled needs instrumentation.metricsEnabled=true",
		"azurekeyvault: {enabled: true}":                                                                       "azurekeyvault.vaultURI is missing",
		"azurekeyvault: {enabled: true, vaultURI: u}":                                                          "azurekeyvault.tenantId is missing",
		"azurekeyvault: {enabled: true, vaultURI: u, tenantId: t}":                                             "azureWorkloadIdentity.clientId is missing",
		"provider: {tls: {cabundle: ZQ==}}":                                                                    "provider.tls.cabundle is given alone",
		"notation: {trustPolicies: [{registryScopes: ['*'], trustedIdentities: []}]}":                          "at '/notation/trustPolicies/0/trustedIdentities': minItems",
		"notation: {trustPolicies: [{registryScopes: ['*'], level: strict, verificatonLevel: skip}]}":          "notation.trustPolicies[0] says level strict and verificatonLevel skip",
		"notationCerts: ['']":         "at '/notationCerts/0': minLength",
		"cosignKeys: ['']":            "at '/cosignKeys/0': minLength",
		"env: [{name: A, value: 1}]":  "at '/env/0/value': got number, want string",
		"podLabels: {injection: on}":  "at '/podLabels/injection': got boolean, want string",
		"gatekeeper: {version: null}": "at '/gatekeeper': missing property 'version'",
		// null takes a default away.
		"featureFlags: null":                                    "missing property 'featureFlags'",
		"cosign: {tLogVerify: null}":                            "at '/cosign': missing property 'tLogVerify'",
		"provider: {enableMutation: null}":                      "at '/provider': missing property 'enableMutation'",
		"provider: {timeout: {validationTimeoutSeconds: null}}": "at '/provider/timeout': missing property 'validationTimeoutSeconds'",
		"networkPolicy: {egress: {cidrs: [example.com]}}":       "at '/networkPolicy/egress/cidrs/0'",
		acr("{instanceName: a}"):                                "acrInstancesConfig[0] needs instanceName",
		acr("{instanceId: cri-a}"):                              "acrInstancesConfig[0] needs instanceName",
		acr("{instanceName: a, instanceId: b}"):                 "acrInstancesConfig[0] needs instanceName",
		acr("{name1: nonsense}"):                                "acrInstancesConfig[0] needs instanceName",
		acr("{a: cri-a, b: cri-b}"):                             "acrInstancesConfig[0] needs instanceName",
	} {
		t.Run(values, func(t *testing.T) {
			_, err := inRatify.render(ours, values)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v\nwant %s", err, want)
			}
		})
	}
}

// slim are values with the slim image.
func slim(values string) string { return "image: {variant: slim}\n" + values }

// acr are values with that instance.
func acr(instance string) string {
	return "oras: {authProviders: {alibabacloudAcrBasicEnabled: true}}\nalibabacloudAcrConfig: {acrInstancesConfig: [" + instance + "]}"
}
