package main

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

const (
	demoID    = "cri-demo000000000001"
	legacyID  = "cri-legacy0000000001"
	standbyID = "cri-standby000000001"

	demoHost    = "demo-registry.cn-hangzhou.cr.aliyuncs.com"
	legacyHost  = "legacy-registry.cn-hangzhou.cr.aliyuncs.com"
	standbyHost = "standby-registry.cn-shanghai.cr.aliyuncs.com"
)

// world is a cloud with instances, and the people who sign.
type world struct {
	cloud *emulator.Cloud

	root, releases, expired, kms, stranger signing.Identity
}

func newWorld(cloud *emulator.Cloud) (*world, error) {
	for _, i := range []emulator.Instance{
		{Name: "demo", ID: demoID},
		{Name: "legacy", ID: legacyID, NoReferrersAPI: true},
		{Name: "standby", ID: standbyID, Region: "cn-shanghai"},
	} {
		if err := cloud.AddInstance(i); err != nil {
			return nil, err
		}
	}
	w := &world{cloud: cloud}
	var err error
	if w.root, err = signing.Root("Example Root CA"); err != nil {
		return nil, err
	}
	intermediate, err := w.root.Intermediate("Example Signing CA")
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if w.releases, err = intermediate.Leaf("releases", signing.Validity{}); err != nil {
		return nil, err
	}
	if w.expired, err = intermediate.Leaf("retired", signing.Validity{From: now.AddDate(-2, 0, 0), To: now.AddDate(-1, 0, 0)}); err != nil {
		return nil, err
	}
	if w.kms, err = signing.SelfSigned("kms"); err != nil {
		return nil, err
	}
	w.stranger, err = signing.SelfSigned("stranger")
	return w, err
}

// config is what a platform engineer configures: the seeds' store, key material and verifier.
func (w *world) config() []byte {
	config, err := json.MarshalIndent(map[string]any{
		"store": map[string]any{"version": "1.0.0", "plugins": []any{map[string]any{
			"name": "oras",
			"authProvider": map[string]any{
				"name":              "alibabacloudAcrBasic",
				"defaultInstanceId": demoID,
				"acrInstancesConfig": []any{
					map[string]any{"instanceName": "legacy", "instanceId": legacyID},
					map[string]any{"instanceName": "standby", "instanceId": standbyID},
				},
			},
		}}},
		"policy": map[string]any{"version": "1.0.0", "plugin": map[string]any{
			"name":                         "configPolicy",
			"artifactVerificationPolicies": map[string]any{"application/vnd.cncf.notary.signature": "any"},
		}},
		"keyManagementProvider": map[string]any{"plugins": []any{map[string]any{
			"name": "ratify-notation-inline-cert", "type": "inline", "contentType": "certificate", "value": w.root.PEM() + w.kms.PEM(),
		}}},
		"verifier": map[string]any{"version": "1.0.0", "plugins": []any{map[string]any{
			"name":                   "notation",
			"artifactTypes":          "application/vnd.cncf.notary.signature",
			"verificationCertStores": map[string]any{"certs": []any{"ratify-notation-inline-cert"}},
			"trustPolicyDoc": map[string]any{"version": "1.0", "trustPolicies": []any{map[string]any{
				"name": "default", "registryScopes": []any{"*"}, "signatureVerification": map[string]any{"level": "strict"},
				"trustStores": []any{"ca:certs"}, "trustedIdentities": []any{"*"},
			}}},
		}}},
	}, "", "  ")
	if err != nil {
		panic(err) // the above can be encoded
	}
	return config
}

// demoCase is an image and what should become of it.
type demoCase struct {
	name, image string
	admitted    bool
	says        string // part of the signer or reason
	before      func()
}

// cases pushes and signs the images.
func (w *world) cases(ctx context.Context) ([]demoCase, error) {
	var cases []demoCase
	add := func(name, host, instance string, admitted bool, says string, sign func(*remote.Repository, ocispec.Descriptor) error) error {
		repo, err := signing.Repository(host+"/demo/"+slug(name), w.cloud.PushTransport(instance))
		if err != nil {
			return err
		}
		image, err := signing.PushImage(ctx, repo, "v1", name)
		if err != nil {
			return err
		}
		cases = append(cases, demoCase{name: name, image: host + "/demo/" + slug(name) + ":v1", admitted: admitted, says: says})
		return sign(repo, image)
	}
	by := func(who signing.Identity, mediaType string) func(*remote.Repository, ocispec.Descriptor) error {
		return func(repo *remote.Repository, image ocispec.Descriptor) error {
			return who.Sign(ctx, repo, image, mediaType)
		}
	}
	attach := func(make func(ocispec.Descriptor) ([]byte, error)) func(*remote.Repository, ocispec.Descriptor) error {
		return func(repo *remote.Repository, image ocispec.Descriptor) error {
			envelope, err := make(image)
			if err != nil {
				return err
			}
			return w.releases.Attach(ctx, repo, image, signing.JWS, envelope)
		}
	}
	now := time.Now()
	for _, c := range []struct {
		name, host, instance string
		admitted             bool
		says                 string
		sign                 func(*remote.Repository, ocispec.Descriptor) error
	}{
		{"signed, chain, JWS", demoHost, demoID, true, "CN=releases", by(w.releases, signing.JWS)},
		{"signed, chain, COSE", demoHost, demoID, true, "CN=releases", by(w.releases, signing.COSE)},
		{"signed, self-signed leaf", demoHost, demoID, true, "CN=kms", by(w.kms, signing.JWS)},
		{"signed, no referrers API", legacyHost, legacyID, true, "CN=releases", by(w.releases, signing.COSE)},
		{"unsigned", demoHost, demoID, false, "no signature", func(*remote.Repository, ocispec.Descriptor) error { return nil }},
		{"tampered signature", demoHost, demoID, false, "integrity", attach(func(image ocispec.Descriptor) ([]byte, error) {
			envelope, err := w.releases.Envelope(image, signing.JWS, now)
			if err != nil {
				return nil, err
			}
			return tamper(envelope), nil
		})},
		{"signed by a stranger", demoHost, demoID, false, "stranger", by(w.stranger, signing.JWS)},
		{"another image's signature", demoHost, demoID, false, "sha256:", attach(func(image ocispec.Descriptor) ([]byte, error) {
			other := image
			other.Digest = "sha256:" + "0000000000000000000000000000000000000000000000000000000000000000"
			return w.releases.Envelope(other, signing.JWS, now)
		})},
		{"expired signer", demoHost, demoID, false, "retired", func(repo *remote.Repository, image ocispec.Descriptor) error {
			envelope, err := w.expired.Envelope(image, signing.JWS, now.AddDate(-1, -6, 0))
			if err != nil {
				return err
			}
			return w.expired.Attach(ctx, repo, image, signing.JWS, envelope)
		}},
		{"cloud down", standbyHost, standbyID, false, "cr.cn-shanghai.aliyuncs.com", by(w.releases, signing.JWS)},
		{"cloud up again", standbyHost, standbyID, true, "CN=releases", by(w.releases, signing.JWS)},
	} {
		if err := add(c.name, c.host, c.instance, c.admitted, c.says, c.sign); err != nil {
			return nil, err
		}
	}
	api := w.cloud.Endpoint("cr.cn-shanghai.aliyuncs.com")
	cases[len(cases)-2].before = func() { api.SetFault(emulator.Fault{Status: http.StatusServiceUnavailable}) }
	cases[len(cases)-1].before = func() { api.SetFault(emulator.Fault{}) }
	return cases, nil
}

// tamper changes the signature in a JWS envelope, and nothing else.
func tamper(envelope []byte) []byte {
	var fields map[string]any
	if err := json.Unmarshal(envelope, &fields); err != nil {
		panic(err) // it was just made
	}
	signature := []byte(fields["signature"].(string))
	if signature[0] == 'A' {
		signature[0] = 'B'
	} else {
		signature[0] = 'A'
	}
	fields["signature"] = string(signature)
	tampered, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return tampered
}

// slug makes a repository name of a title.
func slug(title string) string {
	var name []byte
	for _, c := range []byte(title) {
		switch {
		case c >= 'a' && c <= 'z':
			name = append(name, c)
		case c >= 'A' && c <= 'Z':
			name = append(name, c-'A'+'a')
		case len(name) > 0 && name[len(name)-1] != '-':
			name = append(name, '-')
		}
	}
	return string(name)
}
