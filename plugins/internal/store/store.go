package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ratify-project/ratify/pkg/referrerstore/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/dockerconfig"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/k8secrets"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/internal/tokencache"
)

// Name is the name of the store in Ratify's configuration, and of the program.
const Name = "alibabacloudacr"

// cacheKey is the key that plugins have besides those of the store.
const cacheKey = "tokenCache"

// OpenCache opens what tokenCache of a store's configuration names: a directory in memory where the passwords of registries, and the sessions
// that they are asked for with, are kept between runs. It returns nil if there is no such key. Errors name the key.
func OpenCache(cfg config.StorePluginConfig) (*tokencache.Directory, error) {
	path, ok := cfg[cacheKey]
	if !ok {
		return nil, nil
	}
	text, ok := path.(string)
	if !ok || text == "" {
		return nil, fmt.Errorf("%s must be the path of a directory; leave it out to keep nothing between runs", cacheKey)
	}
	cache, err := tokencache.Open(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cacheKey, err)
	}
	return cache, nil
}

// Sessions returns what keeps RRSA's sessions in a cache, nil if there is none.
func Sessions(cache *tokencache.Directory) func(*rrsa.Provider) rrsa.Source {
	if cache == nil {
		return nil
	}
	return func(role *rrsa.Provider) rrsa.Source {
		return tokencache.NewSessions(role, cache, time.Now, slog.Default())
	}
}

// Open opens the store that cfg configures: what configures our store `oras`, with the cache of OpenCache. If cfg is of the store Name it asks
// the auth provider alibabacloudAcrBasic, unless it says otherwise. version is that of the configuration's format. Errors name the key.
func Open(cfg config.StorePluginConfig, version string, cache *tokencache.Directory) (*referrerstore.Store, error) {
	cfg = maps.Clone(cfg)
	delete(cfg, cacheKey)
	if cfg["name"] == Name && !has(cfg, "authProvider") && !has(cfg, "authProviders") {
		cfg["authProvider"] = map[string]any{"name": authprovider.Name}
	}
	return referrerstore.New(cfg, version, referrerstore.Options{NewAuthProvider: func(block map[string]any) (authprovider.AuthProvider, error) {
		return newAuthProvider(block, cache)
	}})
}

// has tells whether there is a key, which matches without regard to case.
func has(cfg config.StorePluginConfig, key string) bool {
	for name := range cfg {
		if strings.EqualFold(name, key) {
			return true
		}
	}
	return false
}

// newAuthProvider makes an auth provider of its block; that of none is Docker's configuration file.
func newAuthProvider(block map[string]any, cache *tokencache.Directory) (authprovider.AuthProvider, error) {
	switch name := block["name"]; name {
	case nil, dockerconfig.Name:
		return dockerconfig.New(block, time.Now)
	case k8secrets.Name:
		return k8secrets.New(block, k8secrets.Options{})
	case authprovider.Name:
		return newACR(block, cache)
	}
	return nil, errors.New("plugins have " + strings.Join([]string{authprovider.Name, k8secrets.Name, dockerconfig.Name}, ", ") +
		" only: use the store of Ratify, or the image of Ratify for Alibaba Cloud")
}

// newACR makes the auth provider of ACR. Its passwords are kept in the cache if there is one, and if it is known whose they are.
func newACR(block map[string]any, cache *tokencache.Directory) (authprovider.AuthProvider, error) {
	var role *rrsa.Provider // whose sessions the passwords are asked for with; nil for credentials of other types than RRSA's
	var options authprovider.Options
	if keep := Sessions(cache); keep != nil {
		options.Sessions = func(r *rrsa.Provider) rrsa.Source {
			role = r
			return keep(r)
		}
	}
	p, err := authprovider.New(block, options)
	if err != nil {
		return nil, err // not p, which would make the interface non-nil
	}
	if cache == nil {
		return p, nil
	}
	var whose string
	if role != nil {
		if whose, err = role.Whose(); err != nil {
			return p, nil // what is wrong with the token is told by whoever asks for a session
		}
	}
	identity, err := identityOf(block, whose)
	if err != nil {
		return nil, err
	}
	return tokencache.New(p, cache, identity, time.Now, slog.Default()), nil
}

// identityOf says all that the passwords depend on besides the registry: the configuration, the environment of Alibaba Cloud's, and whose the
// sessions are that they are asked for with.
func identityOf(block map[string]any, whose string) (string, error) {
	configured, err := json.Marshal(block) // with sorted keys
	if err != nil {
		return "", err
	}
	variables := slices.DeleteFunc(os.Environ(), func(variable string) bool { return !strings.HasPrefix(variable, "ALIBABA_CLOUD_") })
	slices.Sort(variables)                                                      // Ratify passes them in any order
	return fmt.Sprintf("%q", append(variables, string(configured), whose)), nil // quoted, as values may have lines that look like others
}
