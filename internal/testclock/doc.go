// Package testclock is a time that only the test moves.
package testclock
