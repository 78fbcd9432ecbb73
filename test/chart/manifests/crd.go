package manifests

import (
	"fmt"
	"maps"
	"slices"

	_ "github.com/ratify-project/ratify/api/v1alpha1" // so that go.mod says which version the types are of
	_ "github.com/ratify-project/ratify/api/v1beta1"
	"golang.org/x/tools/go/packages"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-tools/pkg/crd"
	"sigs.k8s.io/controller-tools/pkg/crd/markers"
	"sigs.k8s.io/controller-tools/pkg/genall"
	"sigs.k8s.io/controller-tools/pkg/loader"
	ctrlmarkers "sigs.k8s.io/controller-tools/pkg/markers"
	"sigs.k8s.io/yaml"
)

// types are the packages of Ratify v1.4 with the Go types. v1alpha1 is served, as objects may be stored in it.
var types = []string{"github.com/ratify-project/ratify/api/v1alpha1", "github.com/ratify-project/ratify/api/v1beta1"}

// crds returns the CRDs as files by their names.
func crds() (map[string][]byte, error) {
	roots, err := loader.LoadRoots(types...)
	if err != nil {
		return nil, fmt.Errorf("load %v: %w", types, err)
	}
	registry := &ctrlmarkers.Registry{}
	if err := markers.Register(registry); err != nil {
		return nil, err
	}
	output := memory{}
	context := &genall.GenerationContext{
		Collector:  &ctrlmarkers.Collector{Registry: registry},
		Checker:    &loader.TypeChecker{},
		Roots:      roots,
		OutputRule: output,
	}
	if err := (crd.Generator{CRDVersions: []string{"v1"}}).Generate(context); err != nil {
		return nil, err
	}
	if loader.PrintErrors(roots, packages.TypeError) { // the types are only checked as far as they are needed
		return nil, fmt.Errorf("the types of %v have errors, see above", types)
	}
	files := make(map[string][]byte)
	for _, name := range slices.Sorted(maps.Keys(output)) {
		if files[name], err = complete(output[name].Bytes()); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return files, nil
}

// complete adds what the types of Ratify v1.4 lack: status.conditions, for all kinds that a controller reports on.
func complete(content []byte) ([]byte, error) {
	var definition apiext.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(content, &definition); err != nil {
		return nil, err
	}
	for i := range definition.Spec.Versions {
		version := &definition.Spec.Versions[i]
		if !version.Storage {
			continue
		}
		status, ok := version.Schema.OpenAPIV3Schema.Properties["status"]
		if !ok {
			return nil, fmt.Errorf("version %s has no status", version.Name)
		}
		status.Properties["conditions"] = conditions()
		version.Schema.OpenAPIV3Schema.Properties["status"] = status
	}
	plain, err := yaml.Marshal(struct {
		APIVersion string                              `json:"apiVersion"`
		Kind       string                              `json:"kind"`
		Metadata   map[string]any                      `json:"metadata"`
		Spec       apiext.CustomResourceDefinitionSpec `json:"spec"`
	}{
		APIVersion: definition.APIVersion, Kind: definition.Kind,
		Metadata: map[string]any{"name": definition.Name}, // without the annotation of the generator's version
		Spec:     definition.Spec,
	})
	return plain, err
}

// conditions is the schema of a list of metav1.Condition, without texts. As a map by type it can be patched by several writers.
func conditions() apiext.JSONSchemaProps {
	text := apiext.JSONSchemaProps{Type: "string"}
	status := text
	status.Enum = []apiext.JSON{{Raw: []byte(`"True"`)}, {Raw: []byte(`"False"`)}, {Raw: []byte(`"Unknown"`)}}
	return apiext.JSONSchemaProps{
		Description: "What holds for this resource now: Ready, and for key management providers Degraded",
		Type:        "array",
		Items: &apiext.JSONSchemaPropsOrArray{Schema: &apiext.JSONSchemaProps{
			Type: "object",
			Properties: map[string]apiext.JSONSchemaProps{
				"type": text, "status": status, "reason": text, "message": text,
				"lastTransitionTime": {Type: "string", Format: "date-time"},
				"observedGeneration": {Type: "integer", Format: "int64"},
			},
			Required: []string{"lastTransitionTime", "message", "reason", "status", "type"},
		}},
		XListType:    ptr.To("map"),
		XListMapKeys: []string{"type"},
	}
}
