// Package flight collapses identical calls in flight into one, and knows what callers wait for.
//
// Calls may contain collapsed calls. Whoever gives up on one learns who did not answer, however deep that is; and when all have
// given up on a call, whoever comes next starts a new one, at every depth, instead of waiting for what may hang.
package flight
