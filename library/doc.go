// Package library tests the ConstraintTemplates of Gatekeeper in this folder.
package library
