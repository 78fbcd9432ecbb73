package verification

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/executor/types"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	policytypes "github.com/ratify-project/ratify/pkg/policyprovider/types"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifiertypes "github.com/ratify-project/ratify/pkg/verifier/types"
	"golang.org/x/sync/errgroup"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/recovery"
)

const (
	// maxDepth bounds how far nested referrers (a signature of an SBOM of an image) are followed: a deeper graph is an
	// attempt to make work, or a cycle.
	maxDepth = 4
	// maxPages bounds the pages of one referrers list. Stores bound the referrers themselves.
	maxPages = 64
)

// run is one evaluation of a subject with one scope.
type run struct {
	engine     *Engine
	namespace  string
	scope      Scope
	policyType string
	// mandatory says that scope is not what the namespace chose.
	mandatory bool
}

// referrer is an artifact that refers to the subject, in the store that has it.
type referrer struct {
	store   referrerstore.ReferrerStore
	desc    ocispecs.ReferenceDescriptor
	subject *ocispecs.SubjectDescriptor // known once it is examined
}

func (r *run) verdict(ctx context.Context, subject common.Reference) Verdict {
	found, err := r.inspect(ctx, subject, maxDepth)
	if errors.Is(err, artifact.ErrLimit) || errors.Is(err, artifact.ErrMalformed) {
		// A fact about what was pushed, not a failure: it is the same the next time.
		return refuse(r.policyType, subject.Original, refusal{
			message:     "what refers to the image cannot be verified",
			reason:      err.Error(),
			remediation: "remove from the repository what refers to the image and is not needed, or push the image to another one and sign it there",
		})
	}
	if err != nil {
		return undetermined(subject.Original, outOfTime(err))
	}
	if len(found) == 0 && r.policyType == policytypes.ConfigPolicy {
		whose := "configured"
		if r.mandatory {
			whose = "mandatory"
		}
		return refuse(r.policyType, subject.Original, refusal{
			message:     "no signature was found",
			reason:      "no artifact that a " + whose + " verifier can check refers to " + subject.Original,
			remediation: "sign the image by this digest, or check the artifactTypes of the verifiers",
		})
	}
	return r.decide(ctx, subject, found)
}

// inspect finds and verifies the referrers of subject.
func (r *run) inspect(ctx context.Context, subject common.Reference, depth int) (findings, error) {
	artifactTypes, atOnce := r.engine.options.ArtifactTypes, maxReferrers
	if depth < maxDepth { // nested: all types count, and one at a time, lest each level multiplies what happens at once
		artifactTypes, atOnce = nil, 1
	}
	desc, referrers, err := r.resolve(ctx, subject, artifactTypes)
	if err != nil {
		return nil, err
	}
	found := make(findings, len(referrers))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, ref := range referrers {
		group.Go(func() (err error) {
			defer recovery.ToError(&err)
			ref.subject = desc
			found[i] = r.examine(ctx, subject, ref, depth)
			return nil // examine tells of failures in what it finds
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(f finding) bool { return f.report == nil }), nil
}

// resolve finds the descriptor of subject, a digest, and its referrers at the same time: stores list by the digest. What became of the
// descriptor is told first: a subject that is not there, or must not be read, is the better explanation of why its referrers are not found.
func (r *run) resolve(ctx context.Context, subject common.Reference, artifactTypes []string) (*ocispecs.SubjectDescriptor, []referrer, error) {
	var (
		referrers []referrer
		listErr   error
		list      sync.WaitGroup
	)
	listing, stop := context.WithCancel(ctx)
	defer list.Wait()
	defer stop()
	list.Go(func() {
		defer recovery.ToError(&listErr)
		referrers, listErr = r.referrers(listing, subject, artifactTypes)
	})
	desc, err := SubjectDescriptor(ctx, r.scope.Stores, subject)
	if err != nil {
		return nil, nil, err
	}
	list.Wait()
	return desc, referrers, listErr
}

// referrers lists what of these types refers to subject, a digest, in all stores and needs verification, each artifact once.
func (r *run) referrers(ctx context.Context, subject common.Reference, artifactTypes []string) ([]referrer, error) {
	desc := &ocispecs.SubjectDescriptor{Descriptor: ocispec.Descriptor{Digest: subject.Digest}}
	var all []referrer
	seen := make(map[string]bool)
	for _, store := range r.scope.Stores {
		token := ""
		for page := 0; ; page++ {
			if page == maxPages {
				return nil, fmt.Errorf("store %s: the referrers of %s have more than %d pages: %w", store.Name(), subject.Original, maxPages, artifact.ErrLimit)
			}
			list, err := store.ListReferrers(ctx, subject, artifactTypes, token, desc)
			if err != nil {
				return nil, err // a store's error says what it was about
			}
			for _, found := range list.Referrers {
				key := found.Digest.String() + " " + found.ArtifactType
				if !seen[key] && r.scope.Policy.VerifyNeeded(ctx, subject, found) {
					seen[key] = true
					all = append(all, referrer{store: store, desc: found})
				}
			}
			if token = list.NextToken; token == "" {
				break
			}
		}
	}
	return all, nil
}

// examine verifies one referrer as the policy's type wants it reported. The report is nil if no verifier is interested, as in
// an attestation that nobody configured.
func (r *run) examine(ctx context.Context, subject common.Reference, ref referrer, depth int) finding {
	if r.policyType == policytypes.RegoPolicy {
		return r.examineAll(ctx, subject, ref, depth)
	}
	for _, v := range r.scope.Verifiers {
		if v.CanVerify(ctx, ref.desc) {
			return r.examineWith(ctx, v, subject, ref, depth)
		}
	}
	return finding{}
}

// examineWith makes the report that the JSON policy reads: one verifier's result, with those about its nested references.
func (r *run) examineWith(ctx context.Context, v verifier.ReferenceVerifier, subject common.Reference, ref referrer, depth int) finding {
	result, err := r.verify(ctx, v, subject, ref)
	result.Subject = subject.Original
	result.ReferenceDigest = ref.desc.Digest.String()
	result.ArtifactType = ref.desc.ArtifactType
	if err != nil || len(v.GetNestedReferences()) == 0 {
		return finding{result, err}
	}
	nested, err := r.nested(ctx, at(subject, ref.desc.Digest), depth)
	if err != nil {
		return finding{result, err}
	}
	for _, inner := range nested {
		if inner, ok := inner.report.(verifier.VerifierResult); ok {
			result.NestedResults = append(result.NestedResults, inner)
		}
	}
	if !r.scope.Policy.OverallVerifyResult(ctx, nested.reports()) {
		result.IsSuccess, result.Message = false, "what refers to this artifact did not verify; see nestedResults"
		if len(nested) == 0 {
			result.Message = "no artifact that a configured verifier can check refers to this one, and its verifier has nestedReferences"
		}
	}
	return finding{result, nested.undetermined()}
}

// examineAll makes the report that Rego policies read: every verifier's result, and the same of the referrer's own referrers.
func (r *run) examineAll(ctx context.Context, subject common.Reference, ref referrer, depth int) finding {
	report := types.NestedVerifierReport{
		Subject:         subject.Original,
		ReferenceDigest: ref.desc.Digest.String(),
		ArtifactType:    ref.desc.ArtifactType,
		VerifierReports: []verifiertypes.VerifierResult{},
		NestedReports:   []types.NestedVerifierReport{},
	}
	var errs []error
	for _, v := range r.scope.Verifiers {
		if !v.CanVerify(ctx, ref.desc) {
			continue
		}
		result, err := r.verify(ctx, v, subject, ref)
		if err != nil {
			errs = append(errs, err)
		}
		report.VerifierReports = append(report.VerifierReports, verifiertypes.NewVerifierResult(result))
	}
	nested, err := r.nested(ctx, at(subject, ref.desc.Digest), depth)
	if err == nil {
		err = nested.undetermined()
	}
	if err != nil {
		errs = append(errs, err)
	}
	for _, inner := range nested {
		if inner, ok := inner.report.(types.NestedVerifierReport); ok {
			report.NestedReports = append(report.NestedReports, inner)
		}
	}
	return finding{report, join(errs)}
}

// nested inspects an artifact that itself refers to a subject.
func (r *run) nested(ctx context.Context, artifact common.Reference, depth int) (findings, error) {
	if depth == 0 {
		return nil, fmt.Errorf("%s: referrers are nested more than %d deep; remove what is not needed", artifact.Original, maxDepth)
	}
	return r.inspect(ctx, artifact, depth-1)
}

// verify runs one verifier. An error means that it could not find out; the result then says so.
func (r *run) verify(ctx context.Context, v verifier.ReferenceVerifier, subject common.Reference, ref referrer) (verifier.VerifierResult, error) {
	start := time.Now()
	result, err := ask(ctx, v, subject, ref)
	if err != nil {
		err = fmt.Errorf("verifier %s: %s of %s: %w", v.Name(), ref.desc.Digest, subject.Original, err)
		result = verifier.VerifierResult{
			Name: v.Name(), VerifierName: v.Name(), Type: v.Type(), VerifierType: v.Type(),
			Message: "could not be verified", ErrorReason: err.Error(),
		}
	}
	if r.engine.options.OnVerifier != nil {
		r.engine.options.OnVerifier(VerifierRun{
			Verifier: v.Name(), Namespace: r.namespace, Duration: time.Since(start), Success: result.IsSuccess, Err: err,
		})
	}
	return result, err
}

// SubjectDescriptor asks the stores, of which there must be one at least, in order for the descriptor of ref. Referrers are looked for by
// its digest, so that an answer about another subject would lend this one the signatures of that; such an answer is an error.
func SubjectDescriptor(ctx context.Context, stores []referrerstore.ReferrerStore, ref common.Reference) (*ocispecs.SubjectDescriptor, error) {
	var errs []error
	for _, store := range stores {
		desc, err := store.GetSubjectDescriptor(ctx, ref)
		if err == nil && (desc.Digest.Validate() != nil || ref.Digest != "" && desc.Digest != ref.Digest) {
			err = fmt.Errorf("store %s answered for %s with digest %q", store.Name(), ref.Original, desc.Digest)
		}
		if err == nil {
			return desc, nil
		}
		errs = append(errs, err)
	}
	return nil, join(errs) // a store's error says what it was about
}
