// Package signing is the Notation plugin that signs with KMS keys, as a library.
// See https://github.com/notaryproject/specifications/blob/v1.1.0/specs/plugin-extensibility.md.
package signing
