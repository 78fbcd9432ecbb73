package cosign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"
	"github.com/ratify-project/ratify/pkg/verifier/config"
	"github.com/sigstore/cosign/v2/pkg/oci/static"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
)

// Type is the name by which configurations ask for this verifier.
const Type = "cosign"

// Options are what a Verifier needs besides its parameters.
type Options struct {
	// Namespace is that of the Verifier resource, empty for a cluster-wide one and outside a cluster. A verifier of a namespace may use the
	// key management providers of that namespace and cluster-wide ones.
	Namespace string

	// Keys returns the public keys of a key management provider, named as in trustPolicies: "name" for a cluster-wide one, or "namespace/name". A
	// provider that does not exist is an error. Nil: there are none, and only files can hold keys.
	Keys func(ctx context.Context, provider string) (map[keymanagementprovider.KMPMapKey]keymanagementprovider.PublicKey, error)

	// TrustRoot is Sigstore's, which all verifiers of a process share. Nil: the verifier has one of its own. It is not read before something needs it.
	TrustRoot *TrustRoot

	// Transport reaches transparency logs. Nil: http.DefaultTransport.
	Transport http.RoundTripper

	// Log receives warnings about the configuration. Nil: slog.Default().
	Log *slog.Logger
}

// Verifier verifies signatures of cosign. It is safe for concurrent use.
type Verifier struct {
	name, kind    string
	artifactTypes []string
	nested        []string
	policies      []*trustPolicy
	root          *TrustRoot
}

var _ verifier.ReferenceVerifier = (*Verifier)(nil)

// New reads the parameters in cfg and the keys that they name. Errors are of type *ConfigError; those that wrap ErrKeyMaterial may vanish without
// a change of cfg, when a key management provider appears or changes.
func New(ctx context.Context, cfg config.VerifierConfig, o Options) (*Verifier, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.TrustRoot == nil {
		o.TrustRoot = NewTrustRoot(o.Transport, o.Log)
	}
	p, err := parseParameters(cfg)
	if err != nil {
		return nil, err
	}
	policies, err := parsePolicies(ctx, p, o)
	if err != nil {
		return nil, err
	}
	return &Verifier{
		name: p.Name, kind: p.Type, artifactTypes: p.artifactTypes, nested: p.NestedArtifactTypes, policies: policies, root: o.TrustRoot,
	}, nil
}

// Name returns the verifier's name in the configuration.
func (v *Verifier) Name() string { return v.name }

// Type returns the verifier's type in the configuration, its name if there is none.
func (v *Verifier) Type() string { return v.kind }

// CanVerify reports whether the verifier is configured for the reference's artifact type.
func (v *Verifier) CanVerify(_ context.Context, desc ocispecs.ReferenceDescriptor) bool {
	return slices.Contains(v.artifactTypes, "*") || slices.Contains(v.artifactTypes, desc.ArtifactType)
}

// GetNestedReferences returns the artifact types that are looked for on signatures, as configured.
func (v *Verifier) GetNestedReferences() []string { return v.nested }

// FromFiles tells whether keys, or material that the environment names, were read of files, which may change.
func (v *Verifier) FromFiles() bool {
	return slices.ContainsFunc(v.policies, func(p *trustPolicy) bool {
		return p.given.authorities != nil || p.given.rekor != nil || p.given.ctLogs != nil ||
			slices.ContainsFunc(p.keys, func(k namedKey) bool { return k.Provider == fileProvider })
	})
}

// Verify judges the signatures in the manifest that desc describes as ones of subject. The result is a decision; an error means that there is none,
// because something could not be read or asked, and wraps what failed; the caller knows of which manifest.
func (v *Verifier) Verify(ctx context.Context, subject common.Reference, desc ocispecs.ReferenceDescriptor,
	store referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	result := verifier.VerifierResult{
		Name: v.name, VerifierName: v.name,
		Type: v.kind, VerifierType: v.kind,
		ReferenceDigest: desc.Digest.String(), ArtifactType: desc.ArtifactType,
	}
	message, found, err := v.verify(ctx, subject, desc, store)
	result.Extensions = found
	if err == nil {
		result.IsSuccess, result.Message = true, printable.Line(message)
		return result, nil
	}
	if refused, ok := asRefusal(err); ok {
		result.ErrorReason, result.Remediation = printable.Line(refused.reason), refused.remedy
		result.Message = printable.Line("signature refused: " + refused.reason)
		return result, nil
	}
	result.Message = "signature could not be verified"
	return result, err
}

// verify returns what to tell about a manifest with a signature that verifies, a *refusal, or an error about what could not be found out; and what
// there is to tell about each signature.
func (v *Verifier) verify(ctx context.Context, subject common.Reference, desc ocispecs.ReferenceDescriptor,
	store referrerstore.ReferrerStore) (message string, found any, err error) {
	name := nameOf(subject)
	policy := policyFor(v.policies, name)
	if policy == nil {
		return "", nil, refuse("no trust policy of the verifier covers the image "+name, "add the image, or *, to the scopes of a trust policy")
	}
	subjectDesc, err := store.GetSubjectDescriptor(ctx, subject)
	if err != nil {
		return "", nil, fmt.Errorf("read the subject: %w", err)
	}
	if subjectDesc == nil || subject.Digest != "" && subjectDesc.Digest != subject.Digest {
		return "", nil, errors.New("read the subject: the store describes another one")
	}
	layers, err := readManifest(ctx, subject, desc, store)
	if err != nil {
		return "", nil, err
	}
	j := &judgement{policy: policy, subject: subjectDesc.Digest, material: v.material}
	reader := &layerReader{subject: subject, store: store, payloads: make(map[digest.Digest][]byte)}
	var signatures []tried
	for _, layer := range layers {
		t := tried{digest: layer.Digest, encoded: layer.Annotations[static.SignatureAnnotationKey]}
		if ctx.Err() != nil { // what verified before still counts
			t.attempts = []attempt{{err: context.Cause(ctx)}}
		} else if s, err := reader.read(ctx, layer); err != nil {
			t.attempts = []attempt{{err: err}}
		} else {
			t.attempts = j.try(ctx, s)
		}
		signatures = append(signatures, t)
	}
	message, err = conclude(signatures)
	return message, extensions(policy, signatures), err
}

// material returns what the environment gives for a policy and, if that does not suffice, Sigstore's trust root.
func (v *Verifier) material(ctx context.Context, p *trustPolicy) (material, error) {
	if p.given.suffices(p) {
		return p.given, nil
	}
	root, err := v.root.get(ctx)
	return p.given.orElse(root), err
}
