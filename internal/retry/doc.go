// Package retry repeats calls that failed for a passing reason, within the deadline of their context.
package retry
