// Package reply reads what a cloud service answers: bounded, checked to be JSON, and fit to be quoted in an error.
package reply
