// Package apiserver is a stand-in for a Kubernetes API server, for the tests of what follows it: Ratify's resources, Gatekeeper's Providers, Secrets,
// Deployments, leases and events can be read, watched and written over a real socket, and it can be away. It knows no discovery, schemas, rights or
// admission; the tests on a real Kubernetes are in test/e2e.
package apiserver
