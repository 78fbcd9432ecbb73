// Package settings reads what the environment and notation's --plugin-config say: which KMS is asked with whose rights, and where certificates
// are.
package settings
