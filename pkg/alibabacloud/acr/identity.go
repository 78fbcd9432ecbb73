package acr

import (
	"errors"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/identity"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// identity returns whose rights the calls are made with. Registries that are not covered work in a pod without one all the same.
func (c *Config) identity(o Options) (rrsa.Source, error) {
	source, err := identity.New(identity.Config{
		Credential: c.Credential,
		RoleARN:    c.RoleARN, OIDCProviderARN: c.OIDCProviderARN, OIDCTokenFile: c.OIDCTokenFile, RoleSessionName: c.RoleSessionName,
		STSEndpoint: c.STSEndpoint, Region: c.Region, VPC: c.Network == NetworkVPC,
		Timeout: c.Timeout, Transport: o.Transport, Now: o.Now, Log: o.Log, OnRequest: o.OnRequest, Sessions: o.Sessions,
	})
	if errors.Is(err, rrsa.ErrNoIdentity) {
		o.Log.Warn("images of ACR instances cannot be pulled", "error", err)
		return identity.Nobody(err), nil
	}
	return source, err
}

// checkCredential completes and checks the credential.
func (c *Config) checkCredential() error {
	err := c.Credential.Check()
	if mistake, ok := errors.AsType[*parameter.Error](err); ok {
		return &ConfigError{Field: mistake.Field, Err: mistake.Err}
	}
	return err
}
