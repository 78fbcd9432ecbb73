// Package config reads config.json, the configuration of a Ratify that runs without Kubernetes resources, makes a Snapshot of
// it, and follows the file as it changes. The schema is Ratify v1.4's, plus keyManagementProvider.
package config
