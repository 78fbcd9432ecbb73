package manager

import (
	"context"
	"fmt"
	"strings"

	"github.com/ratify-project/ratify/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller/servingcert"
)

// watched are the kinds of resources that make the configuration.
var watched = []client.Object{
	&v1beta1.Store{}, &v1beta1.Verifier{}, &v1beta1.Policy{}, &v1beta1.KeyManagementProvider{},
	&v1beta1.NamespacedStore{}, &v1beta1.NamespacedVerifier{}, &v1beta1.NamespacedPolicy{}, &v1beta1.NamespacedKeyManagementProvider{},
}

// kinds returns the types of what is read and written, and where the API server has them. Asking it would be one more thing that can fail, and
// would have to be tried again, while it is away.
func kinds() (*runtime.Scheme, meta.RESTMapper, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1beta1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, nil, fmt.Errorf("types of the API server: %w", err)
		}
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, object := range watched {
		gvk, err := apiutil.GVKForObject(object, scheme)
		if err != nil {
			return nil, nil, fmt.Errorf("types of the API server: %w", err)
		}
		scope := meta.RESTScopeRoot
		if strings.HasPrefix(gvk.Kind, "Namespaced") {
			scope = meta.RESTScopeNamespace
		}
		mapper.Add(gvk, scope)
	}
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Event"), meta.RESTScopeNamespace)
	mapper.Add(servingcert.NewProvider().GroupVersionKind(), meta.RESTScopeRoot)
	return scheme, mapper, nil
}

// version tells one state of a resource from another. One that is deleted and created again begins with the same generation.
type version struct {
	uid        types.UID
	generation int64
}

type versions map[controller.ID]version

// list reads all resources there are.
func list(ctx context.Context, reader client.Reader) (controller.Resources, versions, error) {
	var (
		stores              v1beta1.StoreList
		verifiers           v1beta1.VerifierList
		policies            v1beta1.PolicyList
		providers           v1beta1.KeyManagementProviderList
		namespacedStores    v1beta1.NamespacedStoreList
		namespacedVerifiers v1beta1.NamespacedVerifierList
		namespacedPolicies  v1beta1.NamespacedPolicyList
		namespacedProviders v1beta1.NamespacedKeyManagementProviderList
	)
	found := make(versions)
	for kind, list := range map[string]client.ObjectList{
		"Store": &stores, "Verifier": &verifiers, "Policy": &policies, "KeyManagementProvider": &providers,
		"NamespacedStore": &namespacedStores, "NamespacedVerifier": &namespacedVerifiers, "NamespacedPolicy": &namespacedPolicies,
		"NamespacedKeyManagementProvider": &namespacedProviders,
	} {
		if err := reader.List(ctx, list); err != nil {
			return controller.Resources{}, nil, fmt.Errorf("list resources of kind %s: %w", kind, err)
		}
		if err := meta.EachListItem(list, func(item runtime.Object) error {
			object, err := meta.Accessor(item)
			if err == nil {
				id := controller.ID{Kind: strings.TrimPrefix(kind, "Namespaced"), Namespace: object.GetNamespace(), Name: object.GetName()}
				found[id] = version{object.GetUID(), object.GetGeneration()}
			}
			return err
		}); err != nil {
			return controller.Resources{}, nil, fmt.Errorf("list resources of kind %s: %w", kind, err)
		}
	}
	return controller.Resources{
		Stores: stores.Items, Verifiers: verifiers.Items, Policies: policies.Items, KeyManagementProviders: providers.Items,
		NamespacedStores: namespacedStores.Items, NamespacedVerifiers: namespacedVerifiers.Items, NamespacedPolicies: namespacedPolicies.Items,
		NamespacedKeyManagementProviders: namespacedProviders.Items,
	}, found, nil
}
