package identity

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alibabacloud-go/tea/tea"
	"github.com/aliyun/credentials-go/credentials"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// Environment variables of an access key, as credentials-go names them.
const (
	EnvAccessKeyID     = "ALIBABA_CLOUD_ACCESS_KEY_ID"
	EnvAccessKeySecret = "ALIBABA_CLOUD_ACCESS_KEY_SECRET"
	EnvSecurityToken   = "ALIBABA_CLOUD_SECURITY_TOKEN"
)

// Credential is a credential type of credentials-go, and what that type needs.
type Credential struct {
	Type            string `json:"type"`
	AccessKeyID     string `json:"accessKeyId"`     // default EnvAccessKeyID
	AccessKeySecret string `json:"accessKeySecret"` // default EnvAccessKeySecret
	SecurityToken   string `json:"securityToken"`   // default EnvSecurityToken
	RoleARN         string `json:"roleArn"`         // to assume with the access key
	RoleSessionName string `json:"roleSessionName"`
	ExternalID      string `json:"externalId"`
	RoleName        string `json:"roleName"` // of the ECS instance; default: asks the metadata service
	URL             string `json:"url"`      // that answers with credentials
}

// String names the type only, so that printing a configuration shows no secret.
func (c Credential) String() string { return "credential of type " + c.Type }

// GoString is String, for %#v.
func (c Credential) GoString() string { return c.String() }

// required lists the fields that each type needs. Type oidc_role_arn is RRSA, with top-level fields of its own.
var required = map[string][]string{
	"access_key":      {"accessKeyId", "accessKeySecret"},
	"sts":             {"accessKeyId", "accessKeySecret", "securityToken"},
	"ram_role_arn":    {"accessKeyId", "accessKeySecret", "roleArn"},
	"ecs_ram_role":    nil,
	"credentials_uri": {"url"},
}

// Check completes c from the environment and checks it. Errors are *parameter.Error about the fields of "credential". A nil c is right.
func (c *Credential) Check() error {
	if c == nil {
		return nil
	}
	needs, known := required[c.Type]
	switch {
	case c.Type == "oidc_role_arn":
		return parameter.Errorf("credential.type", "oidc_role_arn is the default and needs no credential block: set roleArn, oidcProviderArn and oidcTokenFile beside it")
	case !known:
		return parameter.Errorf("credential.type", "%q is not one of %s", c.Type, strings.Join(slices.Sorted(maps.Keys(required)), ", "))
	}
	if c.AccessKeyID == "" && c.AccessKeySecret == "" {
		c.AccessKeyID, c.AccessKeySecret = os.Getenv(EnvAccessKeyID), os.Getenv(EnvAccessKeySecret)
		c.SecurityToken = cmp.Or(c.SecurityToken, os.Getenv(EnvSecurityToken))
	}
	has := map[string]string{"accessKeyId": c.AccessKeyID, "accessKeySecret": c.AccessKeySecret, "securityToken": c.SecurityToken,
		"roleArn": c.RoleARN, "url": c.URL}
	for _, field := range needs {
		if has[field] == "" {
			return parameter.Errorf("credential."+field, "is needed by type %s (keys may come from %s and its like in the environment)", c.Type, EnvAccessKeyID)
		}
	}
	return nil
}

func (c *Credential) source(cfg Config) (rrsa.Source, error) {
	sdk := credentials.Config{Type: tea.String(c.Type), AccessKeyId: tea.String(c.AccessKeyID), AccessKeySecret: tea.String(c.AccessKeySecret),
		SecurityToken: tea.String(c.SecurityToken), RoleArn: tea.String(c.RoleARN), RoleSessionName: tea.String(c.RoleSessionName),
		ExternalId: tea.String(c.ExternalID), RoleName: tea.String(c.RoleName), Url: tea.String(c.URL), STSEndpoint: tea.String(cfg.STSEndpoint)}
	return rrsa.NewSDK(sdk, cfg.Timeout)
}
