// Package chart tests the Helm chart in charts/ratify with Helm's own library, and that the manifests which are generated are up to date. It is
// a module of its own, so that nothing of Helm is in the product's go.mod.
package chart
