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
)

// verify judges the signature that the input names as one of subject. An error means that there is no verdict.
func verify(ctx context.Context, input config.PluginInputConfig, version string, subject common.Reference) (verifier.VerifierResult, error) {
	none := verifier.VerifierResult{}
	if err := input.ReferencDesc.Digest.Validate(); err != nil {
		return none, plugin.NewError(types.ErrArgsParsingFailure, fmt.Sprintf("referenceDesc.digest: %q", input.ReferencDesc.Digest), err.Error())
	}
	opened, err := openStore(input.StoreConfig, version)
	if err != nil {
		return none, plugin.NewError(types.ErrInvalidVerifierConfig, "the store cannot be configured", err.Error())
	}
	judge, err := newVerifier(ctx, input.Config)
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

// openStore opens the store of this module with the configuration of the store that Ratify has listed the signature with.
func openStore(cfg storeconfig.StoreConfig, version string) (*referrerstore.Store, error) {
	if name := cfg.Store[types.Name]; !slices.Contains([]any{"oras", store.Name}, name) {
		return nil, fmt.Errorf("storeConfig.store.name is %v: only the stores oras and %s can be read", name, store.Name)
	}
	return store.Open(cfg.Store, version)
}

// newVerifier makes the verifier of its configuration, and reads the key material that this names.
func newVerifier(ctx context.Context, cfg config.VerifierConfig) (*notation.Verifier, error) {
	cfg, material, err := takeKeyMaterial(cfg)
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
