// Package transport makes the connections to registries: pooled, verified, with time-outs, and with repeats of what failed
// for a moment.
package transport
