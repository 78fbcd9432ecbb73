// Package library tests the ConstraintTemplates for Gatekeeper in the folder library.
package library
