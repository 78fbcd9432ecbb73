//go:build slim

package builtin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	upstream "github.com/ratify-project/ratify/pkg/common/oras/authprovider"
	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	kmpconfig "github.com/ratify-project/ratify/pkg/keymanagementprovider/config"
	"github.com/ratify-project/ratify/pkg/policyprovider"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	policyfactory "github.com/ratify-project/ratify/pkg/policyprovider/factory"
	policytypes "github.com/ratify-project/ratify/pkg/policyprovider/types"
	"github.com/ratify-project/ratify/pkg/verifier"
	verifierconfig "github.com/ratify-project/ratify/pkg/verifier/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
)

// errSlim is wrapped by errors about parts that only the full build has.
var errSlim = errors.New("not in this slim build; use the full image")

// addFull makes the types that are left out errors which say so: else they would be looked for among the external plugins.
func addFull(f config.Factories, _ Options) {
	f.Verifiers["cosign"] = func(context.Context, verifierconfig.VerifierConfig, config.VerifierInput) (verifier.ReferenceVerifier, error) {
		return nil, fmt.Errorf("type cosign is %w", errSlim)
	}
	f.KeyManagementProviders["azurekeyvault"] = func(kmpconfig.KeyManagementProviderConfig) (keymanagementprovider.KeyManagementProvider, error) {
		return nil, fmt.Errorf("type azurekeyvault is %w", errSlim)
	}
}

func fullAuthProvider(block upstream.AuthProviderConfig, _ *http.Transport) (upstream.AuthProvider, error) {
	switch name := block["name"]; name {
	case "azureWorkloadIdentity", "azureManagedIdentity", "awsEcrBasic":
		return nil, fmt.Errorf("auth provider %s is %w", name, errSlim)
	}
	return nil, nil
}

// Policies are made by upstream's registry of them.
func init() { policyfactory.Register(policytypes.RegoPolicy, slimPolicy{}) }

type slimPolicy struct{}

// Create implements policyfactory.PolicyFactory.
func (slimPolicy) Create(policyconfig.PolicyPluginConfig) (policyprovider.PolicyProvider, error) {
	return nil, fmt.Errorf("policy regoPolicy is %w", errSlim)
}
