package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/common/plugin"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	"github.com/ratify-project/ratify/pkg/verifier/config"
	"github.com/ratify-project/ratify/pkg/verifier/types"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/notation"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/store"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/tokencache"
)

// verify judges the signature that the input names as one of subject. An error means that there is no verdict.
func verify(ctx context.Context, input config.PluginInputConfig, version string, subject common.Reference) (verifier.VerifierResult, error) {
	none := verifier.VerifierResult{}
	if err := input.ReferencDesc.Digest.Validate(); err != nil {
		return none, plugin.NewError(types.ErrArgsParsingFailure, fmt.Sprintf("referenceDesc.digest: %q", input.ReferencDesc.Digest), err.Error())
	}
	opened, cache, err := openStore(input.StoreConfig, version)
	if err != nil {
		return none, plugin.NewError(types.ErrInvalidVerifierConfig, "the store cannot be configured", err.Error())
	}
	judge, err := newVerifier(ctx, input.Config, cache)
	if err != nil {
		return none, err
	}
	if subject.Digest == "" { // Ratify names the image as it was asked for
		desc, err := opened.GetSubjectDescriptor(ctx, subject)
		if err != nil {
			return none, err
		}
		subject = common.Reference{Path: subject.Path, Digest: desc.Digest, Original: subject.Path + "@" + desc.Digest.String()}
	}
	return judge.Verify(ctx, subject, input.ReferencDesc, opened)
}

// openStore opens the store of this module with the configuration of the store that Ratify has listed the signature with, and the cache that
// this names, nil if there is none.
func openStore(cfg storeconfig.StoreConfig, version string) (*referrerstore.Store, *tokencache.Directory, error) {
	if name := cfg.Store[types.Name]; !slices.Contains([]any{"oras", store.Name}, name) {
		return nil, nil, fmt.Errorf("storeConfig.store.name is %v: only the stores oras and %s can be read", name, store.Name)
	}
	cache, err := store.OpenCache(cfg.Store)
	if err != nil {
		return nil, nil, err
	}
	opened, err := store.Open(cfg.Store, version, cache)
	return opened, cache, err
}

// newVerifier makes the verifier of its configuration, and reads the key material that this names, with sessions in the cache if there is one.
func newVerifier(ctx context.Context, cfg config.VerifierConfig, cache *tokencache.Directory) (*notation.Verifier, error) {
	cfg, material, err := takeKeyMaterial(cfg, cache)
	if err != nil {
		return nil, plugin.NewError(types.ErrInvalidVerifierConfig, "the verifier cannot be configured", err.Error())
	}
	self, err := os.Executable()
	if err != nil {
		return nil, plugin.NewError(types.ErrInternalFailure, "the directory of plugins is unknown", err.Error())
	}
	made, err := notation.New(ctx, cfg, notation.Options{KeyMaterial: material, PluginDirectory: filepath.Dir(self)})
	if errors.Is(err, notation.ErrKeyMaterial) {
		return nil, err
	} else if err != nil {
		return nil, plugin.NewError(types.ErrInvalidVerifierConfig, "the verifier cannot be configured", err.Error())
	}
	return made, nil
}
