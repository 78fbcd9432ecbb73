package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// fileOf are the names of the files by kind.
var fileOf = map[string]string{
	"ClusterRole": "cluster_role.yaml", "ClusterRoleBinding": "cluster_role_binding.yaml", "Role": "role.yaml", "RoleBinding": "role_binding.yaml",
}

// rbac returns the roles and bindings of the chart, for a ServiceAccount ratify-admin in the namespace ratify, without what is Helm's.
func rbac(chart string) (map[string][]byte, error) {
	c, err := loader.Load(chart)
	if err != nil {
		return nil, err
	}
	values, err := chartutil.ToRenderValues(c, nil, chartutil.ReleaseOptions{Name: "ratify", Namespace: "ratify", IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	rendered, err := engine.Render(c, values)
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte)
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewBufferString(rendered["ratify/templates/rbac.yaml"]), 4096)
	for {
		var o unstructured.Unstructured
		if err := decoder.Decode(&o.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		name, ok := fileOf[o.GetKind()]
		if !ok || files[name] != nil {
			return nil, fmt.Errorf("unexpected %s %s", o.GetKind(), o.GetName())
		}
		o.SetLabels(nil)
		if files[name], err = yaml.Marshal(o.Object); err != nil {
			return nil, err
		}
	}
	return files, nil
}
