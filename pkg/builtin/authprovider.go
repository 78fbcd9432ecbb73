package builtin

import (
	"net/http"

	upstream "github.com/ratify-project/ratify/pkg/common/oras/authprovider"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/k8secrets"
)

// authProviders makes auth providers of their blocks. Ours have the names of upstream's, which register themselves and cannot be
// replaced there; all other names are upstream's registry's.
func authProviders(transport *http.Transport) func(upstream.AuthProviderConfig) (upstream.AuthProvider, error) {
	return func(block upstream.AuthProviderConfig) (upstream.AuthProvider, error) {
		if block["name"] == k8secrets.Name {
			return orNil(k8secrets.New(block, k8secrets.Options{}))
		}
		if provider, err := fullAuthProvider(block, transport); provider != nil || err != nil {
			return provider, err
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
