// Package k8secrets is the auth provider k8Secrets: registry credentials in Secrets of a cluster, of the types
// kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg. It takes the configuration of Ratify's provider of that name: the Secrets
// that are listed, and then the imagePullSecrets of a service account.
package k8secrets
