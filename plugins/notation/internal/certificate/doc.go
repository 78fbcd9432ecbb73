// Package certificate makes, reads, checks and keeps the certificates of signatures by KMS keys.
//
// What a certificate must be is in the Notary Project's signature specification, section "Certificate Requirements":
// https://github.com/notaryproject/specifications/blob/v1.1.0/specs/signature-specification.md#certificate-requirements.
package certificate
