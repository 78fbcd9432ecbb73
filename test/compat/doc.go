// Package compat holds the test that upstream Ratify's own binary and ours, given the same config.json, give the same verdicts.
package compat
