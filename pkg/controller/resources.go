package controller

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ratify-project/ratify/api/v1beta1"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
)

// The kinds of resources, without the prefix that those of a namespace have.
const (
	kindStore    = "Store"
	kindVerifier = "Verifier"
	kindPolicy   = "Policy"
	kindKMP      = "KeyManagementProvider"
)

// Resources are Ratify's resources of a cluster, as the API server has them.
type Resources struct {
	Stores                           []v1beta1.Store
	Verifiers                        []v1beta1.Verifier
	Policies                         []v1beta1.Policy
	KeyManagementProviders           []v1beta1.KeyManagementProvider
	NamespacedStores                 []v1beta1.NamespacedStore
	NamespacedVerifiers              []v1beta1.NamespacedVerifier
	NamespacedPolicies               []v1beta1.NamespacedPolicy
	NamespacedKeyManagementProviders []v1beta1.NamespacedKeyManagementProvider
}

// ID names a resource. Namespace is empty for a cluster-wide one.
type ID struct{ Kind, Namespace, Name string }

// String returns the resource's kind and name.
func (id ID) String() string { return id.ResourceKind() + " " + id.Reference() }

// ResourceKind returns the kind as the API server has it.
func (id ID) ResourceKind() string {
	if id.Namespace != "" {
		return "Namespaced" + id.Kind
	}
	return id.Kind
}

// IsKeyProvider tells whether it is a key management provider.
func (id ID) IsKeyProvider() bool { return id.Kind == kindKMP }

// Reference is how configurations name the resource: "name", or "namespace/name".
func (id ID) Reference() string {
	if id.Namespace != "" {
		return id.Namespace + "/" + id.Name
	}
	return id.Name
}

// resource is a resource of any kind.
type resource struct {
	ID
	uid  string // tells it from one of the same name that was deleted
	spec spec
}

// spec is what the kinds' specs have in common; fields that a kind does not have are empty.
type spec struct {
	kind, version, address, artifactTypes string
	refreshInterval                       string
	source                                *v1beta1.PluginSource
	parameters                            []byte
}

// block returns the parameters as configurations have them.
func (s spec) block() (map[string]any, error) {
	block := make(map[string]any)
	if len(s.parameters) > 0 {
		if err := json.Unmarshal(s.parameters, &block); err != nil || block == nil {
			return nil, errors.New("spec.parameters must be a block of keys")
		}
	}
	if s.source != nil {
		block["source"] = s.source
	}
	return block, nil
}

func (s spec) pluginVersion() string { return cmp.Or(s.version, config.DefaultPluginVersion) }

func (s spec) pluginDirs() []string { return []string{cmp.Or(s.address, config.PluginDir())} }

// takeMandatory removes the key mandatory from the parameters of a verifier or policy, and returns its value. Where that cannot be read, it is
// true, if it can be: somebody wanted it.
func takeMandatory(id ID, block map[string]any) (bool, error) {
	mandatory := false
	for key, value := range block {
		if !strings.EqualFold(key, "mandatory") {
			continue
		}
		delete(block, key)
		wanted, ok := value.(bool)
		switch {
		case !ok:
			return id.Namespace == "", fmt.Errorf("spec.parameters.%s is %v: it must be true or false", key, value)
		case wanted && id.Namespace != "":
			return false, fmt.Errorf("spec.parameters.%s: only cluster-wide resources can be mandatory", key)
		}
		mandatory = mandatory || wanted
	}
	return mandatory, nil
}

func (r Resources) stores() []resource {
	var all []resource
	add := func(namespace, name, uid string, s v1beta1.StoreSpec) {
		all = append(all, resource{ID{kindStore, namespace, name}, uid, spec{kind: s.Name, version: s.Version, address: s.Address,
			source: s.Source, parameters: s.Parameters.Raw}})
	}
	for _, s := range r.Stores {
		add("", s.Name, string(s.UID), s.Spec)
	}
	for _, s := range r.NamespacedStores {
		add(s.Namespace, s.Name, string(s.UID), v1beta1.StoreSpec(s.Spec))
	}
	return sorted(all)
}

func (r Resources) verifiers() []resource {
	var all []resource
	add := func(namespace, name, uid string, s v1beta1.VerifierSpec) {
		all = append(all, resource{ID{kindVerifier, namespace, name}, uid, spec{kind: cmp.Or(s.Type, s.Name), version: s.Version, address: s.Address,
			artifactTypes: s.ArtifactTypes, source: s.Source, parameters: s.Parameters.Raw}})
	}
	for _, v := range r.Verifiers {
		add("", v.Name, string(v.UID), v.Spec)
	}
	for _, v := range r.NamespacedVerifiers {
		add(v.Namespace, v.Name, string(v.UID), v1beta1.VerifierSpec(v.Spec))
	}
	return sorted(all)
}

func (r Resources) policies() []resource {
	var all []resource
	add := func(namespace, name, uid string, s v1beta1.PolicySpec) {
		all = append(all, resource{ID{kindPolicy, namespace, name}, uid, spec{kind: s.Type, parameters: s.Parameters.Raw}})
	}
	for _, p := range r.Policies {
		add("", p.Name, string(p.UID), p.Spec)
	}
	for _, p := range r.NamespacedPolicies {
		add(p.Namespace, p.Name, string(p.UID), v1beta1.PolicySpec(p.Spec))
	}
	return sorted(all)
}

func (r Resources) keyManagementProviders() []resource {
	var all []resource
	add := func(namespace, name, uid string, s v1beta1.KeyManagementProviderSpec) {
		all = append(all, resource{ID{kindKMP, namespace, name}, uid, spec{kind: s.Type, refreshInterval: s.RefreshInterval, parameters: s.Parameters.Raw}})
	}
	for _, p := range r.KeyManagementProviders {
		add("", p.Name, string(p.UID), p.Spec)
	}
	for _, p := range r.NamespacedKeyManagementProviders {
		add(p.Namespace, p.Name, string(p.UID), v1beta1.KeyManagementProviderSpec(p.Spec))
	}
	return sorted(all)
}

// sorted orders resources by namespace and name: the order of stores and verifiers counts, and must not depend on the API server's.
func sorted(all []resource) []resource {
	slices.SortFunc(all, func(a, b resource) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	return all
}
