// Package azure is what of Azure a pod with an identity meets when it pulls from a container registry and reads a key vault: Entra ID, the
// node's metadata service, a registry with its token exchange, and a vault, under their production names behind a CONNECT proxy. Assertions,
// audiences and tokens are checked as far as the services' answers tell.
package azure
