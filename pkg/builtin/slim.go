//go:build slim

package builtin

import (
	"errors"
	"fmt"

	"github.com/ratify-project/ratify/pkg/policyprovider"
	policyconfig "github.com/ratify-project/ratify/pkg/policyprovider/config"
	policyfactory "github.com/ratify-project/ratify/pkg/policyprovider/factory"
	policytypes "github.com/ratify-project/ratify/pkg/policyprovider/types"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
)

// errSlim is wrapped by errors about what only the full build and its image have.
var errSlim = errors.New("not in the slim image: use the full one, whose tag does not end in -slim (chart: image.variant=full)")

// addFull names the types that are left out: those of the full build, and the verifiers that the full image has as plugins. Whoever mounts such
// a plugin into the slim image can use it.
func addFull(f *config.Factories, _ Options) {
	f.LeftOut = make(map[string]error)
	for _, kind := range []string{"cosign", "azurekeyvault", "sbom", "vulnerabilityreport", "licensechecker", "schemavalidator"} {
		f.LeftOut[kind] = fmt.Errorf("type %s is %w", kind, errSlim)
	}
}

func (Options) newFullAuthProvider(block map[string]any) (authprovider.AuthProvider, error) {
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
