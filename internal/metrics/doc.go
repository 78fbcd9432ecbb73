// Package metrics counts what Ratify does, for Prometheus, under the names that upstream Ratify v1.4 gives them.
//
// Two labels of upstream are left out, because anybody who may create a pod could make them grow without end: "subject" on the
// verifier's duration, and the whole text of an error. The registry's host and the namespace are
// kept for the first ones seen.
package metrics
