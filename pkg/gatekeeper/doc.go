// Package gatekeeper answers Gatekeeper's external data requests: verify and mutate.
//
// See https://open-policy-agent.github.io/gatekeeper/website/docs/externaldata for the protocol. Gatekeeper keeps every item of an
// answer for minutes, errors of items included, but never a systemError, and denies on one. An answer may carry both: what is
// settled goes back as items; what could not be found out is left out and named in systemError, so that the retry asks for just
// that. In a mutate answer, which is not kept, it is an item's error.
package gatekeeper
