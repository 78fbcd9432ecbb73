// Package manifests generates what is in config and in the chart: the CustomResourceDefinitions of config.ratify.deislabs.io from the Go types of
// Ratify v1.4, with the generator that Ratify uses, too, and status.conditions, which the types lack; and config/rbac from the chart.
package manifests
