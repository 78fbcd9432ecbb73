package k8secrets

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
)

// entry is what a Secret says of a registry.
type entry struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"` // base64 of user:password
	IdentityToken string `json:"identitytoken"`
}

// errType reports a Secret that is not one of credentials.
var errType = errors.New("its type is neither " + string(core.SecretTypeDockerConfigJson) + " nor " + string(core.SecretTypeDockercfg))

// find returns what a Secret says of the registry host[:port], and whether it says anything. An error says what is wrong with the Secret and
// never quotes it.
func find(secret *core.Secret, registry string) (entry, bool, error) {
	entries, err := read(secret)
	if err != nil {
		return entry{}, false, err
	}
	// The name as it is comes before other ways to write it.
	for _, key := range append([]string{registry}, slices.Sorted(maps.Keys(entries))...) {
		if key != registry && hostOf(key) != hostOf(registry) {
			continue
		}
		if found, ok, err := entries[key].decode(key); ok || err != nil {
			return found, ok, err
		}
	}
	return entry{}, false, nil
}

// read returns a Secret's entries. Those of the legacy type are not below "auths".
func read(secret *core.Secret) (map[string]entry, error) {
	var (
		key    string
		config struct {
			Auths map[string]entry `json:"auths"`
		}
		err error
	)
	switch secret.Type {
	case core.SecretTypeDockerConfigJson:
		key = core.DockerConfigJsonKey
		err = json.Unmarshal(secret.Data[key], &config)
	case core.SecretTypeDockercfg:
		key = core.DockerConfigKey
		err = json.Unmarshal(secret.Data[key], &config.Auths)
	default:
		return nil, fmt.Errorf("%w: %s", errType, secret.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("its %s is not the JSON of Docker's configuration", key) // not err, which may quote it
	}
	return config.Auths, nil
}

// decode fills in user and password. An entry without any is none.
func (e entry) decode(key string) (entry, bool, error) {
	if e.Auth != "" {
		decoded, err := base64.StdEncoding.DecodeString(e.Auth)
		user, password, ok := strings.Cut(strings.TrimRight(string(decoded), "\x00"), ":")
		if err != nil || !ok {
			return entry{}, false, fmt.Errorf("auth of its entry %q is not the base64 of user:password", key)
		}
		e.Username, e.Password = user, password
	}
	return e, e.Username != "" || e.Password != "" || e.IdentityToken != "", nil
}

// hostOf returns the registry that a key is about, in the ways in which Docker, and people, write it: https://host/v1/ for host. Keys of a part
// of a registry (host/team) are for that part only and name no registry. Docker Hub has several names.
func hostOf(key string) string {
	host := strings.ToLower(key)
	for _, scheme := range []string{"https://", "http://"} {
		host = strings.TrimPrefix(host, scheme)
	}
	host, path, _ := strings.Cut(host, "/")
	switch strings.Trim(path, "/") {
	case "", "v1", "v2":
	default:
		return key
	}
	host = strings.TrimSuffix(host, ":443")
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return host
}
