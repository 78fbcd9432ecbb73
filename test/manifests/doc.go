// Package manifests tests what users apply: the ConstraintTemplates in library, the samples in config/samples, and the resources that the
// chart renders.
package manifests
