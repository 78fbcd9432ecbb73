package acr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/credentials-go/credentials"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// Credential is a credential type of credentials-go, and what that type needs.
type Credential struct {
	Type            string `json:"type"`
	AccessKeyID     string `json:"accessKeyId"`     // default ALIBABA_CLOUD_ACCESS_KEY_ID
	AccessKeySecret string `json:"accessKeySecret"` // default ALIBABA_CLOUD_ACCESS_KEY_SECRET
	SecurityToken   string `json:"securityToken"`   // default ALIBABA_CLOUD_SECURITY_TOKEN
	RoleARN         string `json:"roleArn"`         // to assume with the access key
	RoleSessionName string `json:"roleSessionName"`
	ExternalID      string `json:"externalId"`
	RoleName        string `json:"roleName"` // of the ECS instance; default: asks the metadata service
	URL             string `json:"url"`      // that answers with credentials
}

// String names the type only, so that printing a Config shows no secret.
func (c Credential) String() string { return "credential of type " + c.Type }

// GoString is String, for %#v.
func (c Credential) GoString() string { return c.String() }

// Environment variables of an access key, as credentials-go names them.
const (
	envAccessKeyID     = "ALIBABA_CLOUD_ACCESS_KEY_ID"
	envAccessKeySecret = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
	envSecurityToken   = "ALIBABA_CLOUD_SECURITY_TOKEN"
)

// required lists the fields that each type needs. Type oidc_role_arn is RRSA, with top-level fields of its own.
var required = map[string][]string{
	"access_key":      {"accessKeyId", "accessKeySecret"},
	"sts":             {"accessKeyId", "accessKeySecret", "securityToken"},
	"ram_role_arn":    {"accessKeyId", "accessKeySecret", "roleArn"},
	"ecs_ram_role":    nil,
	"credentials_uri": {"url"},
}

// check completes c from the environment and checks it.
func (c *Credential) check() error {
	if c == nil {
		return nil
	}
	needs, known := required[c.Type]
	switch {
	case c.Type == "oidc_role_arn":
		return wrong("credential.type", "oidc_role_arn is the default and needs no credential block: set roleArn, oidcProviderArn and oidcTokenFile beside it")
	case !known:
		return wrong("credential.type", "%q is not one of %s", c.Type, strings.Join(slices.Sorted(maps.Keys(required)), ", "))
	}
	if c.AccessKeyID == "" && c.AccessKeySecret == "" {
		c.AccessKeyID, c.AccessKeySecret = os.Getenv(envAccessKeyID), os.Getenv(envAccessKeySecret)
		c.SecurityToken = cmp.Or(c.SecurityToken, os.Getenv(envSecurityToken))
	}
	has := map[string]string{"accessKeyId": c.AccessKeyID, "accessKeySecret": c.AccessKeySecret, "securityToken": c.SecurityToken,
		"roleArn": c.RoleARN, "url": c.URL}
	for _, field := range needs {
		if has[field] == "" {
			return wrong("credential."+field, "is needed by type %s (keys may come from %s and its like in the environment)", c.Type, envAccessKeyID)
		}
	}
	return nil
}

// identity returns whose rights the calls are made with.
func (c *Config) identity(o Options) (rrsa.Source, error) {
	env := rrsa.FromEnv()
	if c.Credential != nil {
		if env.RoleARN != "" && env.OIDCProviderARN != "" {
			o.Log.Info("the configured credential is used, although this pod has an RRSA identity", "credential", c.Credential.Type, "rrsaRole", env.RoleARN)
		}
		return c.Credential.source(c)
	}
	source, err := rrsa.New(rrsa.Config{
		RoleARN:         cmp.Or(c.RoleARN, env.RoleARN),
		OIDCProviderARN: cmp.Or(c.OIDCProviderARN, env.OIDCProviderARN),
		TokenFile:       cmp.Or(c.OIDCTokenFile, env.TokenFile),
		SessionName:     cmp.Or(c.RoleSessionName, env.SessionName),
		Endpoint:        cmp.Or(c.STSEndpoint, env.Endpoint),
		// The cluster's region, not the instance's: STS serves all regions, and its VPC endpoint only the cluster's.
		Region: cmp.Or(env.Region, c.Region), VPC: c.Network == NetworkVPC,
		Timeout: c.Timeout, Transport: o.Transport, Now: o.Now, Log: o.Log, OnRequest: o.OnRequest,
	})
	if errors.Is(err, rrsa.ErrNoIdentity) {
		err = fmt.Errorf("%w; without RRSA, configure a credential of another type", err)
		if os.Getenv(envAccessKeyID) != "" {
			err = fmt.Errorf("%w, for example {type: access_key} for the one in %s", err, envAccessKeyID)
		}
		o.Log.Warn("images of ACR instances cannot be pulled", "error", err)
		return nobody{err}, nil
	}
	if err != nil {
		return nil, err
	}
	return source, nil
}

func (c *Credential) source(cfg *Config) (rrsa.Source, error) {
	sdk := credentials.Config{Type: tea.String(c.Type), AccessKeyId: tea.String(c.AccessKeyID), AccessKeySecret: tea.String(c.AccessKeySecret),
		SecurityToken: tea.String(c.SecurityToken), RoleArn: tea.String(c.RoleARN), RoleSessionName: tea.String(c.RoleSessionName),
		ExternalId: tea.String(c.ExternalID), RoleName: tea.String(c.RoleName), Url: tea.String(c.URL), STSEndpoint: tea.String(cfg.STSEndpoint)}
	return rrsa.NewSDK(sdk, cfg.Timeout)
}

// nobody is the Source of a pod without identity. Registries that are not covered work in it all the same.
type nobody struct{ err error }

func (n nobody) Credential(context.Context) (rrsa.Credential, error) { return rrsa.Credential{}, n.err }
func (n nobody) Forget(rrsa.Credential)                              {}
func (n nobody) String() string                                      { return "no identity" }
