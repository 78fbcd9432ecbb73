// Package kms asks Key Management Service for public keys, signatures and secrets. Private keys never leave it.
//
// Client is all that is asked. OpenAPI is a Client of the OpenAPI, with the rights of a RAM identity, at the shared gateway of a region or at
// a dedicated instance. ClientKey is a Client of a dedicated instance's own protocol, with the rights of an application access point. Signer is a
// crypto.Signer over a key of either.
package kms
