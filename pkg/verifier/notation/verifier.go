package notation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
	"unique"

	"github.com/notaryproject/notation-core-go/revocation/purpose"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/log"
	notationverifier "github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"
	"github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation/revocation"
)

// Type is the name by which configurations ask for this verifier.
const Type = "notation"

// Options are what a Verifier needs besides its parameters.
type Options struct {
	// Namespace is that of the Verifier resource, empty for a cluster-wide one and outside a cluster. A verifier of a namespace may use the
	// key management providers of that namespace and cluster-wide ones.
	Namespace string

	// PluginDirectory holds the verification plugins, executables named notation-<plugin>. Empty: there are none.
	PluginDirectory string

	// KeyMaterial resolves the providers in verificationCertStores. Nil: there are none, and only files can hold certificates.
	KeyMaterial KeyMaterial

	// Revocation finds out whether certificates are revoked, and keeps what it learns beyond the life of a verifier. Nil: one of the verifier's
	// own, in memory.
	Revocation *revocation.Checker

	// Log receives warnings about the configuration, and at level debug the steps of each verification. Nil: slog.Default().
	Log *slog.Logger
}

// Verifier verifies Notary Project signatures. It is immutable and safe for concurrent use.
type Verifier struct {
	name, kind    string
	artifactTypes []string
	policies      *statements
	stores        trustStores
	fromFiles     bool
	effort        *effort
	outcomes      *outcomes
	inner         notation.Verifier
	log           *slog.Logger
}

var _ verifier.ReferenceVerifier = (*Verifier)(nil)

// New reads the parameters in cfg and the trust stores that they name, with ctx, and has the revocation lists that the trust anchors name fetched
// in the background. Errors are of type *ConfigError; those that wrap ErrKeyMaterial may vanish without a change of cfg, when a key management
// provider appears or changes.
func New(ctx context.Context, cfg config.VerifierConfig, o Options) (*Verifier, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	p, err := parseParameters(cfg)
	if err != nil {
		return nil, err
	}
	stores, err := loadTrustStores(ctx, p, o)
	if err != nil {
		return nil, err
	}
	p.warn(o.Log)
	if o.Revocation == nil {
		if o.Revocation, err = revocation.New(revocation.Options{Log: o.Log}); err != nil {
			return nil, fmt.Errorf("notation verifier %q: revocation checks: %w", p.name, err)
		}
	}
	inner, err := notationverifier.NewWithOptions(p.policies, stores, pluginManager{o.PluginDirectory}, notationverifier.VerifierOptions{
		RevocationCodeSigningValidator:  witnessing{o.Revocation.Signing(), purpose.CodeSigning},
		RevocationTimestampingValidator: witnessing{o.Revocation.Timestamping(), purpose.Timestamping},
	})
	if err != nil {
		return nil, parameter.Errorf("trustPolicyDoc", "%w", err)
	}
	v := &Verifier{name: p.name, kind: p.kind, artifactTypes: p.artifactTypes, stores: stores, fromFiles: p.filesRead, inner: inner, log: o.Log}
	if v.policies, err = newStatements(p.policies); err != nil {
		return nil, parameter.Errorf("trustPolicyDoc", "%w", err)
	}
	if v.effort, err = newEffort(); err != nil {
		return nil, err
	}
	if v.outcomes, err = newOutcomes(o.Revocation); err != nil {
		return nil, err
	}
	o.Revocation.Prefetch(ctx, stores.all())
	return v, nil
}

// Name returns the verifier's name in the configuration.
func (v *Verifier) Name() string { return v.name }

// Type returns the verifier's type in the configuration, its name if there is none.
func (v *Verifier) Type() string { return v.kind }

// CanVerify reports whether the verifier is configured for the reference's artifact type.
func (v *Verifier) CanVerify(_ context.Context, desc ocispecs.ReferenceDescriptor) bool {
	return slices.Contains(v.artifactTypes, "*") || slices.Contains(v.artifactTypes, desc.ArtifactType)
}

// GetNestedReferences returns none: nothing is attached to signatures.
func (v *Verifier) GetNestedReferences() []string { return nil }

// FromFiles tells whether certificates were read of files, which may change.
func (v *Verifier) FromFiles() bool { return v.fromFiles }

// Verify judges the signature that desc describes as one of subject. The result is a decision; an error means that there is none, because
// something could not be read or asked, and wraps what failed; the caller knows of which signature.
func (v *Verifier) Verify(ctx context.Context, subject common.Reference, desc ocispecs.ReferenceDescriptor,
	store referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	facts := newFacts(desc.Digest)
	message, err := v.verify(ctx, subject, desc, store, facts)
	result := verifier.VerifierResult{
		Name: v.name, VerifierName: v.name,
		Type: v.kind, VerifierType: v.kind,
		ReferenceDigest: desc.Digest.String(), ArtifactType: desc.ArtifactType,
		Extensions: map[string]string(facts),
	}
	if err == nil {
		result.IsSuccess, result.Message = true, printable.Line(message)
		return result, nil
	}
	if refused, ok := asRefusal(err); ok {
		facts[factFailedCheck] = refused.check
		result.ErrorReason, result.Remediation = printable.Line(refused.reason), refused.remedy
		result.Message = "signature refused: " + refused.check + ": " + result.ErrorReason
		return result, nil
	}
	result.Message = "signature could not be verified"
	return result, err
}

// verify returns what to tell about a verified signature, a *refusal, or an error about what could not be found out. It adds to facts what it
// learns on the way.
func (v *Verifier) verify(ctx context.Context, subject common.Reference, desc ocispecs.ReferenceDescriptor, store referrerstore.ReferrerStore,
	facts facts) (string, error) {
	policy := v.policies.of(subject.Path)
	if policy == nil {
		return "", refuse(checkPolicy, fmt.Sprintf("no trust policy of the verifier covers the repository %s", subject.Path),
			"add the repository, or *, to the registryScopes of a trust policy")
	}
	facts[factPolicy], facts[factLevel] = policy.Name, policy.level
	if policy.level == trustpolicy.LevelSkip.Name {
		return fmt.Sprintf("nothing was verified: trust policy %q is set to skip", policy.Name), nil
	}

	subjectDesc, err := store.GetSubjectDescriptor(ctx, subject)
	if err != nil {
		return "", fmt.Errorf("read the subject: %w", err)
	}
	if subjectDesc == nil || subject.Digest != "" && subjectDesc.Digest != subject.Digest {
		return "", errors.New("read the subject: the store describes another one")
	}
	start := time.Now().Round(0) // by the wall clock, as certificates are
	key := keyOf(policy.Name, subjectDesc.Descriptor, desc.Descriptor)
	if known, ok := v.outcomes.get(ctx, key, start); ok {
		v.log.DebugContext(ctx, "notation: the signature verified before, and nothing that this rests on has changed", slog.Any("signature", desc.Digest))
		facts.add(known.by.Value(), known.at)
		return describe(known.by.Value(), policy, ""), nil
	}
	envelope, mediaType, err := v.readEnvelope(ctx, subject, desc, store)
	if err != nil {
		return "", err
	}

	ctx, saw := withWitness(log.WithLogger(ctx, debugLogger{ctx, v.log}))
	found, err := v.inner.Verify(ctx, subjectDesc.Descriptor, envelope, notation.VerifierVerifyOptions{
		ArtifactReference:  fmt.Sprintf("%s@%s", subject.Path, subject.Digest),
		SignatureMediaType: mediaType,
	})
	j := &judgement{policy: policy, stores: v.stores, subject: subjectDesc.Descriptor, outcome: found, saw: saw}
	by, at := j.signedBy()
	facts.add(by, at)
	warnings := j.warnings()
	if warnings != "" {
		facts[factWarnings] = printable.Line(warnings)
	}
	if err != nil {
		return "", j.explain(ctx, err)
	}
	if err := j.notUnderstood(); err != nil {
		return "", err
	}
	// Without a digest the key does not say which signature it is; with a clock that was set back meanwhile, it is not known when its time ends.
	if j.plain() && desc.Digest.Validate() == nil && !time.Now().Before(start) {
		v.outcomes.put(key, outcome{by: unique.Make(by), at: at, since: start, ends: j.ends(start), rests: saw.questions})
	}
	return describe(by, policy, warnings), nil
}
