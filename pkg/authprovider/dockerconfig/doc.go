// Package dockerconfig is the auth provider dockerConfig: credentials of registries in Docker's configuration file, as `docker login` writes it.
// Its Auths read that format wherever it stands, as in Secrets of Kubernetes.
package dockerconfig
