// Package installation looks at Ratify in a cluster as Gatekeeper and kubectl do: whether Gatekeeper's Providers lead to a server that answers, and
// whether the resources are in use. helm test runs it.
package installation
