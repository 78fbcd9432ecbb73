package builtin

import (
	"net/http"

	upstream "github.com/ratify-project/ratify/pkg/common/oras/authprovider"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/aws"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/azure"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/k8secrets"
)

// authProviders makes auth providers of their blocks. These of ours have the names of upstream's, which registers itself and cannot be
// replaced there; all other names are upstream's registry's.
func authProviders(transport *http.Transport) func(upstream.AuthProviderConfig) (upstream.AuthProvider, error) {
	return func(block upstream.AuthProviderConfig) (upstream.AuthProvider, error) {
		switch name := block["name"]; name {
		case azure.WorkloadIdentity, azure.ManagedIdentity:
			return orNil(azure.New(name.(string), block, azure.Options{Transport: transport}))
		case aws.Name:
			return orNil(aws.New(block, aws.Options{Transport: transport}))
		case k8secrets.Name:
			return orNil(k8secrets.New(block, k8secrets.Options{}))
		}
		return upstream.CreateAuthProviderFromConfig(block)
	}
}

// orNil makes an interface of a provider that is nil where there is an error.
func orNil[P upstream.AuthProvider](p P, err error) (upstream.AuthProvider, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}
