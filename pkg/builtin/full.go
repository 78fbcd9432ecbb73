//go:build !slim

package builtin

import (
	"context"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	// Upstream's Rego policy, registered by its import.
	_ "github.com/ratify-project/ratify/pkg/policyprovider/regopolicy"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/aws"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/azure"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/keymanagementprovider/azurekeyvault"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/verifier/cosign"
)

// addFull adds what the slim build leaves out.
func addFull(f *config.Factories, o Options) {
	trustRoot := cosign.NewTrustRoot(o.Transport, o.Log)
	f.Verifiers[cosign.Type] = func(ctx context.Context, c verifierconfig.VerifierConfig, in config.VerifierInput) (verifier.ReferenceVerifier, error) {
		return cosign.New(ctx, c, cosign.Options{Namespace: in.Namespace, Keys: in.Keys, TrustRoot: trustRoot, Transport: o.Transport, Log: o.Log})
	}
	f.KeyManagementProviders[azurekeyvault.Type] = func(c kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
		provider, err := azurekeyvault.New(c)
		if err != nil {
			return nil, err
		}
		return provider, nil
	}
}

// newFullAuthProvider makes an auth provider that the slim build leaves out; nil if the block is not that of one.
func (o Options) newFullAuthProvider(block map[string]any) (authprovider.AuthProvider, error) {
	switch name := block["name"]; name {
	case azure.WorkloadIdentity, azure.ManagedIdentity:
		return azure.New(name.(string), block, azure.Options{Transport: o.Transport})
	case aws.Name:
		return aws.New(block, aws.Options{Transport: o.Transport})
	}
	return nil, nil
}
