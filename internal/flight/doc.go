// Package flight collapses identical calls in flight into one.
package flight
