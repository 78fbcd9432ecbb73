// Package crds generates the CustomResourceDefinitions of config.ratify.deislabs.io from the Go types of Ratify v1.4, with the generator
// that Ratify uses, too, and adds status.conditions, which the types lack.
package crds
