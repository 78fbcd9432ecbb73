package verification

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/verifier"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/artifact"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/recovery"
)

// ask runs a verifier. It keeps apart what verifiers written for Ratify do not: a failure because the artifact is bad, which is
// the result, and a failure because the artifact could not be read or the time ran out, which is an error. A panic is an error
// too: it must not end the verification of all other images.
func ask(ctx context.Context, v verifier.ReferenceVerifier, subject common.Reference, ref referrer) (result verifier.VerifierResult, err error) {
	defer recovery.ToError(&err)
	if err := ctx.Err(); err != nil {
		return verifier.VerifierResult{}, err
	}
	store := &witness{ReferrerStore: ref.store, known: *ref.subject}
	result, err = v.Verify(ctx, subject, ref.desc, store)
	if err == nil && !result.IsSuccess {
		if err = store.failure(); err == nil {
			err = ctx.Err()
		}
	}
	return result, err
}

// witness is a store that remembers the first call that failed for another reason than the artifact itself. It answers from what is
// known where verifiers ask again for the descriptor of the subject that they were called for.
type witness struct {
	referrerstore.ReferrerStore
	known ocispecs.SubjectDescriptor

	mu  sync.Mutex
	err error
}

func (w *witness) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *witness) note(err error) {
	if err == nil || errors.Is(err, artifact.ErrLimit) || errors.Is(err, artifact.ErrMalformed) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

// GetBlobContent implements referrerstore.ReferrerStore.
func (w *witness) GetBlobContent(ctx context.Context, subject common.Reference, d digest.Digest) ([]byte, error) {
	content, err := w.ReferrerStore.GetBlobContent(ctx, subject, d)
	w.note(err)
	return content, err
}

// GetReferenceManifest implements referrerstore.ReferrerStore.
func (w *witness) GetReferenceManifest(ctx context.Context, subject common.Reference, desc ocispecs.ReferenceDescriptor) (ocispecs.ReferenceManifest, error) {
	manifest, err := w.ReferrerStore.GetReferenceManifest(ctx, subject, desc)
	w.note(err)
	return manifest, err
}

// GetSubjectDescriptor implements referrerstore.ReferrerStore.
func (w *witness) GetSubjectDescriptor(ctx context.Context, subject common.Reference) (*ocispecs.SubjectDescriptor, error) {
	if subject.Digest == w.known.Digest {
		known := w.known
		return &known, nil
	}
	desc, err := w.ReferrerStore.GetSubjectDescriptor(ctx, subject)
	w.note(err)
	return desc, err
}
