// Package azurekeyvault is the key management provider azurekeyvault: certificates and keys of an Azure Key Vault, read with the pod's workload
// identity. It is Ratify's, with a time limit, without what is disabled, and with errors of one line.
package azurekeyvault
