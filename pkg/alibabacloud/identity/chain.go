package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aliyun/credentials-go/credentials"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// Environment variables of credentials that are no access key, as credentials-go names them.
const (
	EnvExternalID     = "ALIBABA_CLOUD_EXTERNAL_ID"
	EnvECSRole        = "ALIBABA_CLOUD_ECS_METADATA" // name of the RAM role of the ECS instance
	EnvCredentialsURI = "ALIBABA_CLOUD_CREDENTIALS_URI"
)

// Environment variables of access keys and STS sessions that Alibaba Cloud's tools read, the one to name to people first.
// See https://github.com/AliyunContainerService/ack-ram-tool/blob/main/pkg/credentials/provider/env.go.
var (
	envIDs     = []string{EnvAccessKeyID, "ALICLOUD_ACCESS_KEY", "ALIBABACLOUD_ACCESS_KEY_ID", "ALICLOUD_ACCESS_KEY_ID"}
	envSecrets = []string{EnvAccessKeySecret, "ALICLOUD_SECRET_KEY", "ALIBABACLOUD_ACCESS_KEY_SECRET", "ALICLOUD_ACCESS_KEY_SECRET"}
	envTokens  = []string{EnvSecurityToken, "ALICLOUD_ACCESS_KEY_STS_TOKEN", "ALIBABACLOUD_SECURITY_TOKEN", "ALICLOUD_SECURITY_TOKEN"}
)

// KindDefault is the kind of credentials that is looked for in all places.
const KindDefault = "default"

// kinds lists what Chain takes.
var kinds = []string{KindDefault, "access_key", "sts", "oidc_role_arn", "ram_role_arn", "ecs_ram_role", "credentials_uri"}

// Chain returns the source of credentials for commands, which get all that they need from the environment; c.Credential is not used. kind is
// a credential type of credentials-go; KindDefault, or "", is the first that is there of an access key or STS session, RRSA, and a URI in the
// environment, then what credentials-go looks for: the aliyun command's profile, the credentials file, the ECS instance's role.
// It asks nobody yet. Errors name the variable that is missing; that of an unknown kind is a *parameter.Error about "credential_type".
func Chain(kind string, c Config) (rrsa.Source, error) {
	kind = cmp.Or(kind, KindDefault)
	if !slices.Contains(kinds, kind) {
		return nil, parameter.Errorf("credential_type", "%q is not one of %s", kind, strings.Join(kinds, ", "))
	}
	if kind == KindDefault {
		return byDefault(c)
	}
	c.Credential = nil
	if kind != "oidc_role_arn" {
		credential, err := fromEnv(kind)
		if err != nil {
			return nil, err
		}
		c.Credential = credential
		c.STSEndpoint = cmp.Or(c.STSEndpoint, rrsa.FromEnv().Endpoint)
	}
	return New(c)
}

func byDefault(c Config) (rrsa.Source, error) {
	id, secret, token := first(envIDs), first(envSecrets), first(envTokens)
	switch {
	case id != "" && secret != "" && token != "":
		return Chain("sts", c)
	case id != "" || secret != "":
		return Chain("access_key", c)
	}
	source, err := Chain("oidc_role_arn", c)
	switch {
	case err == nil || !errors.Is(err, rrsa.ErrNoIdentity):
		return source, err
	case os.Getenv(EnvCredentialsURI) != "":
		return Chain("credentials_uri", c)
	}
	files, err := rrsa.NewSDK(credentials.Config{}, c.Timeout)
	if err != nil {
		return nil, err
	}
	return anywhere{files}, nil
}

// fromEnv returns the credential of a kind.
func fromEnv(kind string) (*Credential, error) {
	c := &Credential{Type: kind}
	needs := []variable{}
	switch kind {
	case "access_key", "sts", "ram_role_arn":
		needs = append(needs, variable{envIDs, &c.AccessKeyID}, variable{envSecrets, &c.AccessKeySecret})
	case "ecs_ram_role":
		c.RoleName = os.Getenv(EnvECSRole)
	case "credentials_uri":
		needs = append(needs, variable{[]string{EnvCredentialsURI}, &c.URL})
	}
	switch kind {
	case "sts":
		needs = append(needs, variable{envTokens, &c.SecurityToken})
	case "ram_role_arn":
		needs = append(needs, variable{[]string{rrsa.EnvRoleARN}, &c.RoleARN})
		c.SecurityToken, c.RoleSessionName, c.ExternalID = first(envTokens), os.Getenv(rrsa.EnvRoleSessionName), os.Getenv(EnvExternalID)
	}
	var missing []string
	for _, v := range needs {
		if *v.into = first(v.names); *v.into == "" {
			missing = append(missing, v.names[0])
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("credential type %s: %s not set in the environment", kind, strings.Join(missing, ", "))
	}
	return c, nil
}

// variable is where a field of a credential comes from.
type variable struct {
	names []string
	into  *string
}

// first returns the value of the first of the environment variables that is set.
func first(names []string) string {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}

// anywhere is a Source of credentials that may be in many places, or nowhere.
type anywhere struct{ rrsa.Source }

func (a anywhere) Credential(ctx context.Context) (rrsa.Credential, error) {
	c, err := a.Source.Credential(ctx)
	if err != nil {
		err = fmt.Errorf("found none in the environment, the aliyun command's profile, the credentials file or the ECS instance: set %s and %s, "+
			"run \"aliyun configure\", or choose a credential type (%w)", EnvAccessKeyID, EnvAccessKeySecret, err)
	}
	return c, err
}
