package builtin

import (
	"fmt"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/dockerconfig"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/k8secrets"
)

// newAuthProvider makes an auth provider of its block; nil is the block of Docker's configuration file.
func (o Options) newAuthProvider(block map[string]any) (authprovider.AuthProvider, error) {
	switch block["name"] {
	case nil, dockerconfig.Name:
		return dockerconfig.New(block, time.Now)
	case k8secrets.Name:
		return k8secrets.New(block, k8secrets.Options{})
	case authprovider.Name:
		return authprovider.New(block, authprovider.Options{Transport: o.Transport, Log: o.Log, OnRequest: o.Metrics.CloudRequest})
	}
	if provider, err := o.newFullAuthProvider(block); provider != nil || err != nil {
		return provider, err
	}
	return nil, fmt.Errorf("there is no auth provider %v: there are %s, %s, %s, and in the full build azureWorkloadIdentity, azureManagedIdentity and "+
		"awsEcrBasic", block["name"], authprovider.Name, dockerconfig.Name, k8secrets.Name)
}
