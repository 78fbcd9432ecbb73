package manager

import (
	"context"
	"fmt"
	"strings"

	"github.com/ratify-project/ratify/api/v1beta1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/controller/servingcert"
)

// watched are the kinds of resources that make the configuration.
var watched = []string{
	"Store", "Verifier", "Policy", "KeyManagementProvider",
	"NamespacedStore", "NamespacedVerifier", "NamespacedPolicy", "NamespacedKeyManagementProvider",
}

// newObject returns an empty resource of a kind. Resources are read without their Go types: the API server takes times that the types do not, and one
// status with such a time would keep all resources of that kind from being read.
func newObject(kind string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(v1beta1.GroupVersion.WithKind(kind))
	return object
}

// slim removes from an object what is not read of it, before it is kept in memory.
func slim(object any) (any, error) {
	if u, ok := object.(*unstructured.Unstructured); ok && u.GroupVersionKind().Group == v1beta1.GroupVersion.Group {
		delete(u.Object, "status")
	}
	return cache.TransformStripManagedFields()(object)
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
	for _, kind := range watched {
		scope := meta.RESTScopeRoot
		if strings.HasPrefix(kind, "Namespaced") {
			scope = meta.RESTScopeNamespace
		}
		mapper.Add(v1beta1.GroupVersion.WithKind(kind), scope)
	}
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Event"), meta.RESTScopeNamespace)
	mapper.Add(deploymentKind, meta.RESTScopeNamespace)
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
	var resources controller.Resources
	found := make(versions)
	for _, kind := range watched {
		all := &unstructured.UnstructuredList{}
		all.SetGroupVersionKind(v1beta1.GroupVersion.WithKind(kind + "List"))
		err := reader.List(ctx, all, client.UnsafeDisableDeepCopy) // what counts is copied below
		for i := 0; i < len(all.Items) && err == nil; i++ {
			object := &all.Items[i]
			id := controller.ID{Kind: strings.TrimPrefix(kind, "Namespaced"), Namespace: object.GetNamespace(), Name: object.GetName()}
			found[id] = version{object.GetUID(), object.GetGeneration()}
			if err = add(&resources, kind, object); err != nil {
				err = fmt.Errorf("read %s: %w", id, err)
			}
		}
		if err != nil {
			return controller.Resources{}, nil, fmt.Errorf("list resources of kind %s: %w", kind, err)
		}
	}
	return resources, found, nil
}

// add adds an object of a kind to resources.
func add(resources *controller.Resources, kind string, object *unstructured.Unstructured) error {
	switch kind {
	case "Store":
		return appendTo(&resources.Stores, object)
	case "Verifier":
		return appendTo(&resources.Verifiers, object)
	case "Policy":
		return appendTo(&resources.Policies, object)
	case "KeyManagementProvider":
		return appendTo(&resources.KeyManagementProviders, object)
	case "NamespacedStore":
		return appendTo(&resources.NamespacedStores, object)
	case "NamespacedVerifier":
		return appendTo(&resources.NamespacedVerifiers, object)
	case "NamespacedPolicy":
		return appendTo(&resources.NamespacedPolicies, object)
	case "NamespacedKeyManagementProvider":
		return appendTo(&resources.NamespacedKeyManagementProviders, object)
	}
	return fmt.Errorf("kind %s is not one of %s", kind, strings.Join(watched, ", "))
}

// appendTo appends what counts of an object.
func appendTo[T any](all *[]T, object *unstructured.Unstructured) error {
	content := map[string]any{"metadata": map[string]any{
		"namespace": object.GetNamespace(), "name": object.GetName(), "uid": string(object.GetUID()),
	}}
	if spec, ok := object.Object["spec"]; ok {
		content["spec"] = spec
	}
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &typed); err != nil {
		return err
	}
	*all = append(*all, typed)
	return nil
}
