package main

import (
	"path"
	"slices"
	"testing"
)

func TestUnexpected(t *testing.T) {
	for _, pattern := range stays {
		if _, err := path.Match(pattern, ""); err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
	}
	set := func(items ...string) map[string]bool {
		all := make(map[string]bool)
		for _, item := range items {
			all[item] = true
		}
		return all
	}
	before := set("Node /node", "CustomResourceDefinition /providers.externaldata.gatekeeper.sh")
	for name, tt := range map[string]struct {
		now  map[string]bool
		want []string
	}{
		"nothing": {before, nil},
		"what stays": {set("Node /node", "Namespace /ratify", "ConfigMap ratify/kube-root-ca.crt", "APIService /v1beta1.config.ratify.deislabs.io",
			"CustomResourceDefinition /namespacedstores.config.ratify.deislabs.io"), nil},
		"what does not": {set("Lease ratify/ratify-alibabacloud", "ClusterRole /ratify-manager-cluster-role", "Store /store-oras", "Node /node",
			"ValidatingWebhookConfiguration /ratify", "Pod ratify/ratify-test-connection"),
			[]string{"ClusterRole /ratify-manager-cluster-role", "Lease ratify/ratify-alibabacloud", "Pod ratify/ratify-test-connection", "Store /store-oras",
				"ValidatingWebhookConfiguration /ratify"}},
	} {
		if got := unexpected(before, tt.now); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
