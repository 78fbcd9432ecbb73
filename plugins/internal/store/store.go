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

	upstream "github.com/ratify-project/ratify/pkg/common/oras/authprovider"
	"github.com/ratify-project/ratify/pkg/referrerstore/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
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
	return referrerstore.New(cfg, version, referrerstore.Options{NewAuthProvider: func(block upstream.AuthProviderConfig) (upstream.AuthProvider, error) {
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
func newAuthProvider(block upstream.AuthProviderConfig, cache *tokencache.Directory) (upstream.AuthProvider, error) {
	switch name := block["name"]; name {
	case nil, upstream.DefaultAuthProviderName:
		return upstream.CreateAuthProviderFromConfig(block)
	case k8secrets.Name:
		p, err := k8secrets.New(block, k8secrets.Options{})
		if err != nil {
			return nil, err // not p, which would make the interface non-nil
		}
		return p, nil
	case authprovider.Name:
		p, err := authprovider.New(block, authprovider.Options{Sessions: Sessions(cache)})
		if err != nil {
			return nil, err
		}
		if cache == nil {
			return p, nil
		}
		identity, err := identityOf(block)
		if err != nil {
			return nil, err
		}
		return tokencache.New(p, cache, identity, time.Now, slog.Default()), nil
	}
	return nil, errors.New("plugins have " + strings.Join([]string{authprovider.Name, k8secrets.Name, upstream.DefaultAuthProviderName}, ", ") +
		" only: use the store of Ratify, or the image of Ratify for Alibaba Cloud")
}

// identityOf says all that the passwords depend on besides the registry: the configuration, and the environment of Alibaba Cloud's.
func identityOf(block upstream.AuthProviderConfig) (string, error) {
	configured, err := json.Marshal(block) // with sorted keys
	if err != nil {
		return "", err
	}
	variables := slices.DeleteFunc(os.Environ(), func(variable string) bool { return !strings.HasPrefix(variable, "ALIBABA_CLOUD_") })
	slices.Sort(variables) // Ratify passes them in any order
	return string(configured) + "\n" + strings.Join(variables, "\n"), nil
}
