package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"
	"github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/executable"
)

// The protocol of Ratify v1.4 (pkg/verifier/plugin there, which links a client of all of Kubernetes): what a program is told besides its input.
const (
	commandVariable = "RATIFY_VERIFIER_COMMAND"
	subjectVariable = "RATIFY_VERIFIER_SUBJECT"
	versionVariable = "RATIFY_VERIFIER_VERSION"

	verifyCommand = "VERIFY"
)

// maxBlobs bounds what a referrer may have in all its blobs, by its manifest. Programs read them whole. SBOMs and scan reports have some
// megabytes.
const maxBlobs = 64 << 20

// Options are what a Verifier needs besides its parameters.
type Options struct {
	// Version is that of the protocol, unless the parameters have one.
	Version string
	// Directories are searched for the program, in their order.
	Directories []string
	// Log receives what programs log. Nil: slog.Default().
	Log *slog.Logger
}

// Verifier verifies with a program. It is immutable and safe for concurrent use.
type Verifier struct {
	parameters
	config config.VerifierConfig
	path   string
	log    *slog.Logger
}

var _ verifier.ReferenceVerifier = (*Verifier)(nil)

// New reads the parameters in cfg, and looks for the program: the one that is called as type says, or else name. An error is about the
// configuration; it names the parameter, or the directories that do not have the program (executable.ErrNotFound).
func New(cfg config.VerifierConfig, o Options) (*Verifier, error) {
	p, err := parse(cfg, o.Version)
	if err != nil {
		return nil, err
	}
	path, err := executable.Find(p.kind, o.Directories)
	if err != nil {
		return nil, fmt.Errorf("type: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Verifier{parameters: p, config: maps.Clone(cfg), path: path, log: o.Log}, nil
}

// Name returns the verifier's name in the configuration.
func (v *Verifier) Name() string { return v.name }

// Type returns the verifier's type in the configuration, its name if there is none.
func (v *Verifier) Type() string { return v.kind }

// CanVerify reports whether the verifier is configured for the reference's artifact type. It is for all if artifactTypes is left out.
func (v *Verifier) CanVerify(_ context.Context, desc ocispecs.ReferenceDescriptor) bool {
	return slices.Contains(v.artifactTypes, "*") || slices.Contains(v.artifactTypes, desc.ArtifactType)
}

// GetNestedReferences returns the artifact types that the artifacts which this verifier verifies must themselves be verified with.
func (v *Verifier) GetNestedReferences() []string { return slices.Clone(v.nestedReferences) }

// Verify runs the program about one referrer of subject. An error means that it could not find out.
func (v *Verifier) Verify(ctx context.Context, subject common.Reference, desc ocispecs.ReferenceDescriptor,
	store referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	if reason, err := v.examine(ctx, subject, desc, store); err != nil {
		return verifier.VerifierResult{}, fmt.Errorf("read the manifest: %w", err)
	} else if reason != "" {
		return v.named(verifier.VerifierResult{
			Message: "the artifact cannot be used: " + reason, ErrorReason: reason,
			Remediation: "attach it again, or delete it",
		}), nil
	}
	storeConfig := store.GetConfig()
	if storeConfig == nil {
		return verifier.VerifierResult{}, fmt.Errorf("store %s has no configuration that a plugin could read with", store.Name())
	}
	stdin, err := json.Marshal(config.PluginInputConfig{Config: v.config, StoreConfig: *storeConfig, ReferencDesc: desc})
	if err != nil {
		return verifier.VerifierResult{}, fmt.Errorf("write the input of plugin %s: %w", v.path, err)
	}
	output, err := executable.Run(ctx, v.path, stdin, []string{
		commandVariable + "=" + verifyCommand,
		subjectVariable + "=" + subject.String(),
		versionVariable + "=" + v.version,
	})
	if err != nil {
		return verifier.VerifierResult{}, err
	}
	reply, log, err := executable.Reply(output)
	if err != nil {
		return verifier.VerifierResult{}, fmt.Errorf("plugin %s %w", v.path, err)
	}
	executable.Log(ctx, v.log, v.kind, log)
	result, err := parseResult(reply)
	if err != nil {
		return verifier.VerifierResult{}, fmt.Errorf("plugin %s: %w", v.path, err)
	}
	return v.named(result), nil
}

// examine reads the referrer's manifest and says what is wrong with it, "" if nothing is. The program will read it again; but if it cannot
// be read now, the program is not to turn that into a verdict.
func (v *Verifier) examine(ctx context.Context, subject common.Reference, desc ocispecs.ReferenceDescriptor,
	store referrerstore.ReferrerStore) (reason string, err error) {
	manifest, err := store.GetReferenceManifest(ctx, subject, desc)
	if errors.Is(err, artifact.ErrMalformed) || errors.Is(err, artifact.ErrLimit) {
		return executable.Clean(err.Error()), nil
	}
	if err != nil {
		return "", err
	}
	left := int64(maxBlobs)
	for _, blob := range manifest.Blobs {
		if left -= blob.Size; blob.Size < 0 || left < 0 {
			return fmt.Sprintf("its blobs have more than %d bytes", maxBlobs), nil
		}
	}
	return "", nil
}

// named fills in what a program may leave out.
func (v *Verifier) named(r verifier.VerifierResult) verifier.VerifierResult {
	if r.Name == "" {
		r.Name, r.VerifierName = v.name, v.name
	}
	if r.Type == "" {
		r.Type, r.VerifierType = v.kind, v.kind
	}
	return r
}
