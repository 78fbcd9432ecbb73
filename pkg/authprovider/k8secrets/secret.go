package k8secrets

import (
	"errors"
	"fmt"

	core "k8s.io/api/core/v1"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/dockerconfig"
)

// errType reports a Secret that is not one of credentials.
var errType = errors.New("its type is neither " + string(core.SecretTypeDockerConfigJson) + " nor " + string(core.SecretTypeDockercfg))

// find returns what a Secret says of the registry host[:port], and whether it says anything. An error says what is wrong with the Secret and
// never quotes it.
func find(secret *core.Secret, registry string) (authprovider.AuthConfig, bool, error) {
	key, parse := core.DockerConfigJsonKey, dockerconfig.Parse
	switch secret.Type {
	case core.SecretTypeDockerConfigJson:
	case core.SecretTypeDockercfg:
		key, parse = core.DockerConfigKey, dockerconfig.ParseLegacy
	default:
		return authprovider.AuthConfig{}, false, fmt.Errorf("%w: %s", errType, secret.Type)
	}
	auths, err := parse(secret.Data[key])
	if err != nil {
		return authprovider.AuthConfig{}, false, fmt.Errorf("its %s is %w", key, err)
	}
	return auths.Find(registry)
}
