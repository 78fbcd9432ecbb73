// Package cosign is the verifier of Sigstore's container signatures, which the cosign command makes: with keys or keyless, with or without a
// transparency log.
//
// It takes the parameters of Ratify's verifier of the same name and reports in the same extensions. What can be known when the configuration is
// loaded is found out then: keys are read once, by New, and a policy that names a missing key is an error there, not at the first pod. A
// Verifier never changes; a new Snapshot makes new ones.
//
// A signature manifest has one layer for each signature. It verifies when one of them was made by one of the keys, or by the identity, of the
// trust policy that covers the image, for this image, and is in the transparency log if the policy asks for that. Verify has three outcomes. A
// result with IsSuccess true or false is decided: the evidence was read, and the result says of each signature why it was refused. An error
// means that it could not be found out: the store, the transparency log or the source of Sigstore's trust root failed, or time ran out. Such a
// failure is not an error when another signature of the same manifest verifies.
//
// Terms and rules are those of cosign's signature specification
// (https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md).
package cosign
