// Package notation is the verifier of Notary Project signatures: trust stores, trust policies, revocation and timestamps over notation-go.
//
// It takes the parameters of Ratify's verifier of the same name. What can be known when the configuration is loaded is found out then: trust
// stores are read once, by New, and a policy that names a store without a usable certificate is an error there, not at the first pod. A
// Verifier never changes; a new Snapshot makes new ones. Therefore it can remember which signatures verified, until time or a revocation may
// have changed that: an image that is asked about again costs no cryptography, and its signature is not read.
//
// Verify has three outcomes. A result with IsSuccess true or false is decided: the evidence was read, and the result says which check failed,
// why and what to do. An error means that it could not be found out: the store, a revocation responder or a plugin failed, or time ran out.
//
// Terms and rules are those of the Notary Project specifications v1.1
// (https://github.com/notaryproject/specifications/tree/v1.1.0/specs).
package notation
