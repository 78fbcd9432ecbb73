// Package azure is the auth providers azureWorkloadIdentity and azureManagedIdentity: credentials of Azure Container Registry for the
// identity of a pod, or of its node. They take the configuration and the environment of Ratify's providers of these names.
package azure
