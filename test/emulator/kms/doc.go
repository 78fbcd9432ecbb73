// Package kms is Key Management Service, emulated: keys with their versions, aliases and states, secrets with their stages, the OpenAPI of the
// shared gateways, and dedicated instances with both of their protocols (the OpenAPI and that of client keys).
//
// What Alibaba Cloud's documentation leaves open is decided here and marked "a guess" where it is.
package kms
