package dockerconfig

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

// errFormat does not wrap what the JSON library says, which may quote a secret.
var errFormat = errors.New("not the JSON of Docker's configuration")

// Auths are the entries of a Docker configuration, by the names that it has for registries.
type Auths map[string]entry

// entry is what it says of a registry.
type entry struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"` // base64 of user:password
	IdentityToken string `json:"identitytoken"`
}

// Parse reads the content of a config.json. Errors never quote it.
func Parse(content []byte) (Auths, error) {
	var config struct {
		Auths Auths `json:"auths"`
	}
	if err := json.Unmarshal(content, &config); err != nil {
		return nil, errFormat
	}
	return config.Auths, nil
}

// ParseLegacy reads the content of a .dockercfg, the format before, which is the entries alone. Errors never quote it.
func ParseLegacy(content []byte) (Auths, error) {
	var auths Auths
	if err := json.Unmarshal(content, &auths); err != nil {
		return nil, errFormat
	}
	return auths, nil
}

// Find returns the credentials for a registry host[:port], without an end, and whether there are any. An error says what is wrong with the entry
// and never quotes it.
func (a Auths) Find(registry string) (authprovider.AuthConfig, bool, error) {
	// The name as it is comes before other ways to write it.
	for _, key := range append([]string{registry}, slices.Sorted(maps.Keys(a))...) {
		if key != registry && hostOf(key) != hostOf(registry) {
			continue
		}
		if found, ok, err := a[key].decode(key); ok || err != nil {
			return found, ok, err
		}
	}
	return authprovider.AuthConfig{}, false, nil
}

// decode returns the credentials of an entry. One without any is none.
func (e entry) decode(key string) (authprovider.AuthConfig, bool, error) {
	if e.Auth != "" {
		decoded, err := base64.StdEncoding.DecodeString(e.Auth)
		user, password, ok := strings.Cut(strings.TrimRight(string(decoded), "\x00"), ":")
		if err != nil || !ok {
			return authprovider.AuthConfig{}, false, fmt.Errorf("auth of its entry %q is not the base64 of user:password", key)
		}
		e.Username, e.Password = user, password
	}
	found := authprovider.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken}
	return found, found != authprovider.AuthConfig{}, nil
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
