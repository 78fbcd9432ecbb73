package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/referrerstore"
	"github.com/ratify-project/ratify/pkg/utils"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verification"
)

// openStores returns the configured stores, and the subject with its digest.
func (t *target) openStores(ctx context.Context) ([]referrerstore.ReferrerStore, common.Reference, error) {
	subject, err := utils.ParseSubjectReference(t.subject)
	if err != nil {
		return nil, subject, fmt.Errorf("--subject %q is not an image reference: write registry/repository:tag or registry/repository@digest", t.subject)
	}
	c, err := config.Load(config.Path(t.configPath), slog.Default())
	if err != nil {
		return nil, subject, err
	}
	builder := &config.Builder{Factories: newEnvironment().factories(), Log: slog.Default()}
	stores, err := builder.BuildStores(ctx, c)
	if err != nil {
		return nil, subject, err
	}
	if subject.Digest != "" {
		return stores, subject, nil
	}
	desc, err := verification.SubjectDescriptor(ctx, stores, subject)
	if err != nil {
		return nil, subject, err
	}
	subject.Digest = desc.Digest
	return stores, subject, nil
}

// openStore returns the configured store of that name.
func (t *target) openStore(ctx context.Context, name string) (referrerstore.ReferrerStore, common.Reference, error) {
	stores, subject, err := t.openStores(ctx)
	if err != nil {
		return nil, subject, err
	}
	for _, store := range stores {
		if store.Name() == name {
			return store, subject, nil
		}
	}
	return nil, subject, fmt.Errorf("--store %q is not configured", name)
}
