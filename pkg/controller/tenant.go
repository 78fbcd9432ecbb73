package controller

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
)

// checkPrograms returns an error if a resource of a namespace chooses which programs are run here, where the credentials of the whole cluster's
// verification are: it can use the plugins that are installed.
func checkPrograms(id ID, s spec, block map[string]any) error {
	switch {
	case id.Namespace == "":
		return nil
	case s.address != "" && filepath.Clean(s.address) != filepath.Clean(config.PluginDir()):
		return errors.New("spec.address: only cluster-wide resources can choose the directory of plugins; leave it out")
	case block["source"] != nil:
		return errors.New("spec.source: only cluster-wide resources can have plugins downloaded; leave it out, and ask for the plugin to be installed")
	}
	return nil
}

// tenantsKeys are what the store of a namespace may say of auth providers. They act with the identity of the whole cluster's verification: what
// else there is says where its credentials go (endpoints, custom domains), whose they are, or which files are read.
var tenantsKeys = []string{
	"name", "registries",
	"defaultInstanceId", "acrInstancesConfig", "instanceName", "instanceId", "region", "network", "discoverInstances", "timeout", // alibabacloudAcrBasic
	"secrets", "secretName", "namespace", "secretTimeout", "serviceAccountName", // k8Secrets
	"clientID", // azureWorkloadIdentity, azureManagedIdentity
}

// checkTenantsStore returns an error if a store of a namespace, whose parameters block has, says of auth providers what only the cluster's may,
// names Secrets of another namespace, or writes files.
func checkTenantsStore(id ID, block map[string]any) error {
	if id.Namespace == "" {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(block)) {
		field := "spec.parameters." + key
		switch {
		case strings.EqualFold(key, "localCachePath"):
			return fmt.Errorf("%s: only cluster-wide resources can have files written; leave it out", field)
		case strings.EqualFold(key, "authProvider"), strings.EqualFold(key, "authProviders"):
			if err := checkTenantsProvider(id, field, block[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkTenantsProvider does it for what is in field.
func checkTenantsProvider(id ID, field string, value any) error {
	switch value := value.(type) {
	case []any:
		for i, entry := range value {
			if err := checkTenantsProvider(id, fmt.Sprintf("%s[%d]", field, i), entry); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			inner := field + "." + key
			if !slices.ContainsFunc(tenantsKeys, func(allowed string) bool { return strings.EqualFold(key, allowed) }) {
				return fmt.Errorf("%s: only cluster-wide resources can set it: auth providers have the identity of the whole cluster's verification", inner)
			}
			if namespace, _ := value[key].(string); strings.EqualFold(key, "namespace") && namespace != "" && namespace != id.Namespace {
				return fmt.Errorf("%s: Secrets of namespace %s cannot be used in %s", inner, namespace, id.Namespace)
			}
			if err := checkTenantsProvider(id, inner, value[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// minTenantsRefresh is how often the key management providers of namespaces are read at most: the service that they read is asked with the
// identity of the whole cluster's verification, and within its limits.
const minTenantsRefresh = time.Minute

// tenantsKMS are the parameters that a provider of type alibabacloudkms of a namespace may have. The others say where the credentials of the whole
// cluster's verification go, whose they are, or which files are read.
var tenantsKMS = []string{"type", "resource", config.RefreshInterval, "certificates", "keys", "region", "network", "timeout"}

// checkTenantsKeys returns an error if a key management provider of a namespace, whose parameters block has, says what only the cluster's may.
func checkTenantsKeys(id ID, kind string, block map[string]any) error {
	if id.Namespace == "" {
		return nil
	}
	words, _ := block[config.RefreshInterval].(string)
	if interval, err := time.ParseDuration(words); err == nil && interval < minTenantsRefresh {
		return fmt.Errorf("spec.refreshInterval: only cluster-wide resources can be read more often than every %s", minTenantsRefresh)
	}
	if kind != "alibabacloudkms" {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(block)) {
		if !slices.ContainsFunc(tenantsKMS, func(allowed string) bool { return strings.EqualFold(key, allowed) }) {
			return fmt.Errorf("spec.parameters.%s: only cluster-wide resources can set it: KMS is asked with the identity of the whole cluster's verification", key)
		}
	}
	return nil
}
