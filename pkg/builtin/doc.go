// Package builtin is what this distribution is made of: the stores, verifiers and key management providers that configurations may ask for,
// by their type. Upstream's auth providers and policies register themselves by being imported here.
package builtin
