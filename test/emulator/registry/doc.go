// Package registry emulates registries of no cloud in particular: real ones behind a user and a password, on loopback.
package registry
