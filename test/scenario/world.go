package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// Registry is an instance and its public host.
type Registry struct {
	Name, ID, Region, Host string
	// NoReferrersAPI says that referrers are found with the tag schema only.
	NoReferrersAPI bool
}

// The registries of the world. Demo is the default instance; the others are in acrInstancesConfig.
var (
	Demo    = Registry{Name: "demo", ID: "cri-demo000000000001", Region: "cn-hangzhou", Host: "demo-registry.cn-hangzhou.cr.aliyuncs.com"}
	Legacy  = Registry{Name: "legacy", ID: "cri-legacy0000000001", Region: "cn-hangzhou", Host: "legacy-registry.cn-hangzhou.cr.aliyuncs.com", NoReferrersAPI: true}
	Standby = Registry{Name: "standby", ID: "cri-standby000000001", Region: "cn-shanghai", Host: "standby-registry.cn-shanghai.cr.aliyuncs.com"}
)

// Kind is a kind of image, by how it is signed.
type Kind string

// The kinds of images.
const (
	SignedJWS         Kind = "signed, chain, JWS"
	SignedCOSE        Kind = "signed, chain, COSE"
	SelfSigned        Kind = "signed, self-signed leaf"
	Unsigned          Kind = "unsigned"
	Tampered          Kind = "tampered signature"
	Stranger          Kind = "signed by a stranger"
	AnothersSignature Kind = "another image's signature"
	Expired           Kind = "expired signer"
)

// World is a cloud with instances, and the people who sign.
type World struct {
	Cloud *emulator.Cloud

	root, authority, releases, retired, kms, stranger signing.Identity
}

// New adds the registries to a cloud and makes everybody's keys.
func New(cloud *emulator.Cloud) (*World, error) {
	for _, r := range []Registry{Demo, Legacy, Standby} {
		if err := cloud.AddInstance(emulator.Instance{Name: r.Name, ID: r.ID, Region: r.Region, NoReferrersAPI: r.NoReferrersAPI}); err != nil {
			return nil, err
		}
	}
	w := &World{Cloud: cloud}
	var err error
	if w.root, err = signing.Root("Example Root CA"); err != nil {
		return nil, err
	}
	if w.authority, err = w.root.Intermediate("Example Signing CA"); err != nil {
		return nil, err
	}
	now := time.Now()
	if w.releases, err = w.authority.Leaf("releases", signing.Validity{}); err != nil {
		return nil, err
	}
	if w.retired, err = w.authority.Leaf("retired", signing.Validity{From: now.AddDate(-2, 0, 0), To: now.AddDate(-1, 0, 0)}); err != nil {
		return nil, err
	}
	if w.kms, err = signing.SelfSigned("kms"); err != nil {
		return nil, err
	}
	w.stranger, err = signing.SelfSigned("stranger")
	return w, err
}

// Anchors returns the certificates that are trusted, in PEM: the root of the releases' chain, and the self-signed leaf.
func (w *World) Anchors() string { return w.root.PEM() + w.kms.PEM() }

// Root returns the root of the chains, in PEM.
func (w *World) Root() string { return w.root.PEM() }

// Issue returns the chain, in PEM, of a certificate for a certificate signing request.
func (w *World) Issue(request []byte) (string, error) { return w.authority.IssueRequest(request) }

// Config returns config.json with the store, key material and verifier of the documents that users follow. edit, if not nil,
// changes it before it is encoded.
func (w *World) Config(edit func(config map[string]any)) []byte {
	config := map[string]any{
		"store": map[string]any{"version": "1.0.0", "plugins": []any{map[string]any{
			"name": "oras",
			"authProvider": map[string]any{
				"name":              "alibabacloudAcrBasic",
				"defaultInstanceId": Demo.ID,
				"acrInstancesConfig": []any{
					map[string]any{"instanceName": Legacy.Name, "instanceId": Legacy.ID},
					map[string]any{"instanceName": Standby.Name, "instanceId": Standby.ID},
				},
			},
		}}},
		"policy": map[string]any{"version": "1.0.0", "plugin": map[string]any{
			"name":                         "configPolicy",
			"artifactVerificationPolicies": map[string]any{"application/vnd.cncf.notary.signature": "any"},
		}},
		"keyManagementProvider": map[string]any{"plugins": []any{map[string]any{
			"name": "ratify-notation-inline-cert", "type": "inline", "contentType": "certificate", "value": w.Anchors(),
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
	}
	if edit != nil {
		edit(config)
	}
	content, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		panic(err) // only for an edit that cannot be encoded
	}
	return content
}

// Push pushes an image of a kind to repository in r, with tag v1, and returns it.
func (w *World) Push(ctx context.Context, r Registry, repository string, kind Kind) (ocispec.Descriptor, error) {
	repo, err := signing.Repository(r.Host+"/"+repository, w.Cloud.PushTransport(r.ID))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	image, err := signing.PushImage(ctx, repo, "v1", repository)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return image, w.Sign(ctx, repo, image, kind)
}

// Sign makes an image that is there already one of a kind.
func (w *World) Sign(ctx context.Context, repo *remote.Repository, image ocispec.Descriptor, kind Kind) error {
	now := time.Now()
	// attach attaches a signature that notation would not make.
	attach := func(who signing.Identity, of ocispec.Descriptor, at time.Time, change func([]byte) []byte) error {
		envelope, err := who.Envelope(of, signing.JWS, at)
		if err != nil {
			return err
		}
		return who.Attach(ctx, repo, image, signing.JWS, change(envelope))
	}
	asIs := func(envelope []byte) []byte { return envelope }
	switch kind {
	case SignedJWS:
		return w.releases.Sign(ctx, repo, image, signing.JWS)
	case SignedCOSE:
		return w.releases.Sign(ctx, repo, image, signing.COSE)
	case SelfSigned:
		return w.kms.Sign(ctx, repo, image, signing.JWS)
	case Stranger:
		return w.stranger.Sign(ctx, repo, image, signing.JWS)
	case Tampered:
		return attach(w.releases, image, now, signing.Tamper)
	case AnothersSignature:
		other := image
		other.Digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
		return attach(w.releases, other, now, asIs)
	case Expired:
		return attach(w.retired, image, now.AddDate(-1, -6, 0), asIs)
	case Unsigned:
		return nil
	}
	return fmt.Errorf("unknown kind %q", kind)
}
