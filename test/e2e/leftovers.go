package main

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// stays is what is there after helm uninstall and was not before the installation, as docs/chart.md and these checks have it. They are
// patterns of path.Match.
var stays = []string{
	// Helm never removes CRDs, and the API server keeps an APIService for each of their versions.
	"CustomResourceDefinition /*.config.ratify.deislabs.io",
	"APIService /v1*.config.ratify.deislabs.io",
	// The library's, which were applied.
	"ConstraintTemplate /ratifyverification",
	"CustomResourceDefinition /ratifyverification.constraints.gatekeeper.sh",
	"APIService /v1*.constraints.gatekeeper.sh",
	"RatifyVerification /ratify-constraint",
	// The namespace, what Kubernetes gives to each, and what install makes.
	"Namespace /" + ratifyNamespace,
	"ConfigMap " + ratifyNamespace + "/kube-root-ca.crt",
	"ServiceAccount " + ratifyNamespace + "/default",
	"ConfigMap " + ratifyNamespace + "/" + cloudCA,
	"Secret " + ratifyNamespace + "/gatekeeper-ca",
}

// inventory returns all that the cluster has, cluster-wide and in Ratify's namespace, but for events, as "Kind namespace/name".
func (e *environment) inventory(ctx context.Context) (map[string]bool, error) {
	kinds, err := e.kubectl(ctx, "api-resources", "--verbs=list", "--output=name")
	if err != nil {
		return nil, err
	}
	list, err := e.kubectl(ctx, "get", strings.Join(strings.Fields(kinds), ","), "--all-namespaces", "--ignore-not-found",
		"--output", `jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{"\n"}{end}`)
	if err != nil {
		return nil, err
	}
	found := make(map[string]bool)
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		kind, name, _ := strings.Cut(line, " ")
		if namespace, _, _ := strings.Cut(name, "/"); kind != "Event" && (namespace == "" || namespace == ratifyNamespace) {
			found[line] = true
		}
	}
	return found, nil
}

// nothingLeft checks that there is nothing of an installation but what stays, and that users' resources do.
func (e *environment) nothingLeft(ctx context.Context) error {
	now, err := e.inventory(ctx)
	if err != nil {
		return err
	}
	if crd := "CustomResourceDefinition /stores.config.ratify.deislabs.io"; !now[crd] {
		return fmt.Errorf("%s is gone, with all resources of users", crd)
	}
	if left := unexpected(e.before, now); len(left) > 0 {
		return fmt.Errorf("left: %s", strings.Join(left, ", "))
	}
	return nil
}

// unexpected returns what is there now, was not before, and does not stay, in order.
func unexpected(before, now map[string]bool) []string {
	var left []string
	for _, item := range slices.Sorted(maps.Keys(now)) {
		if !before[item] && !slices.ContainsFunc(stays, func(pattern string) bool { matched, _ := path.Match(pattern, item); return matched }) {
			left = append(left, item)
		}
	}
	return left
}
