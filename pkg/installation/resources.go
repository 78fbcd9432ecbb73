package installation

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// resources are those of Ratify.
var resources = schema.GroupVersion{Group: "config.ratify.deislabs.io", Version: "v1beta1"}

// kinds are the cluster-wide ones, and whether one has to be there. Those of namespaces are their owners' business.
var kinds = []struct {
	name   string
	needed bool
}{{"Store", true}, {"Verifier", true}, {"Policy", true}, {"KeyManagementProvider", false}}

// checkResources reads what Ratify says about the resources.
func checkResources(ctx context.Context, reader client.Reader) []Finding {
	var found []Finding
	for _, kind := range kinds {
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(resources.WithKind(kind.name + "List"))
		switch err := reader.List(ctx, &list); {
		case err != nil:
			found = append(found, Finding{About: kind.name, Err: fmt.Errorf("list them: %w", err)})
		case len(list.Items) == 0 && kind.needed:
			found = append(found, Finding{About: kind.name, Err: errors.New("there is none, so no image verifies")})
		}
		for _, resource := range list.Items {
			note, err := status(resource)
			found = append(found, Finding{About: kind.name + " " + resource.GetName(), Note: note, Err: err})
		}
	}
	return found
}

// status returns why a resource, as it is now, is not in use; nil if it is. The note tells of key material that could not be read again.
func status(resource unstructured.Unstructured) (note string, err error) {
	conditions, _, _ := unstructured.NestedSlice(resource.Object, "status", "conditions") // none with the CRDs of Ratify v1.4
	for _, one := range conditions {
		condition, _ := one.(map[string]any)
		if seen, ok := condition["observedGeneration"].(int64); ok && seen < resource.GetGeneration() {
			return "", errors.New("no replica has looked at it since it was changed; see Ratify's log")
		}
		if condition["type"] == "Degraded" && condition["status"] == "True" {
			note = fmt.Sprintf("its key material could not be read again in full, and what was read last is in use: %v", condition["message"])
		}
	}
	success, _, _ := unstructured.NestedBool(resource.Object, "status", "issuccess")
	text, _, _ := unstructured.NestedString(resource.Object, "status", "error")
	switch {
	case success:
		return note, nil
	case text != "":
		return "", errors.New(text)
	}
	return "", errors.New("it has no status: no replica has looked at it, or none may write; see Ratify's log")
}
