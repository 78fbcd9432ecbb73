// Package ram is the account of the emulated cloud: a role that an OIDC identity provider may assume, its sessions, and
// access keys.
package ram
