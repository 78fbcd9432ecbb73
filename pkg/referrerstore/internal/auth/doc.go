// Package auth is the token layer between the store and registries: one for all repositories of a registry.
//
// What a registry asks for (its challenge) is learned once, with the API version check of the distribution specification
// (GET /v2/). After that a repository's token is fetched before its first request and kept for its life, so that neither
// a further repository nor a further request costs a refusal. See https://distribution.github.io/distribution/spec/auth/token/.
//
// Credentials go only to the realm that the registry named over a verified connection, tokens only to the registry itself,
// and neither follows a redirect to another host.
package auth
