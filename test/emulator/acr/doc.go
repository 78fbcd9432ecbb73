// Package acr is Container Registry, Enterprise Edition: instances, the API that hands out temporary passwords, the token
// service that turns these into Bearer tokens, and the registries that the tokens open.
//
// The registry behind an instance is a real one: go-containerregistry's, with the referrers API of OCI 1.1, or distribution,
// without it.
package acr
