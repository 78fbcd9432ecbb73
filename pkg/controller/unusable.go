package controller

import (
	"context"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
)

// unusableStore takes the place of a store that could not be made.
type unusableStore struct {
	name string
	err  error
}

func (s unusableStore) Name() string                        { return s.name }
func (s unusableStore) GetConfig() *storeconfig.StoreConfig { return &storeconfig.StoreConfig{} }

func (s unusableStore) ListReferrers(context.Context, common.Reference, []string, string, *ocispecs.SubjectDescriptor) (referrerstore.ListReferrersResult, error) {
	return referrerstore.ListReferrersResult{}, s.err
}

func (s unusableStore) GetBlobContent(context.Context, common.Reference, digest.Digest) ([]byte, error) {
	return nil, s.err
}

func (s unusableStore) GetReferenceManifest(context.Context, common.Reference, ocispecs.ReferenceDescriptor) (ocispecs.ReferenceManifest, error) {
	return ocispecs.ReferenceManifest{}, s.err
}

func (s unusableStore) GetSubjectDescriptor(context.Context, common.Reference) (*ocispecs.SubjectDescriptor, error) {
	return nil, s.err
}

// unusableVerifier takes the place of a verifier that could not be made. It is asked about the artifacts that this one was meant for, all if
// that is not known.
type unusableVerifier struct {
	name, kind    string
	artifactTypes string
	err           error
}

func (v unusableVerifier) Name() string                  { return v.name }
func (v unusableVerifier) Type() string                  { return v.kind }
func (v unusableVerifier) GetNestedReferences() []string { return nil }

func (v unusableVerifier) CanVerify(_ context.Context, desc ocispecs.ReferenceDescriptor) bool {
	types := strings.Split(v.artifactTypes, ",")
	return v.artifactTypes == "" || slices.ContainsFunc(types, func(t string) bool {
		t = strings.TrimSpace(t)
		return t == "*" || t == desc.ArtifactType
	})
}

func (v unusableVerifier) Verify(context.Context, common.Reference, ocispecs.ReferenceDescriptor, referrerstore.ReferrerStore) (verifier.VerifierResult, error) {
	return verifier.VerifierResult{}, v.err
}
