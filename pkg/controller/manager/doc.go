// Package manager keeps an engine's configuration what Ratify's resources in a Kubernetes cluster say, and writes to the resources what became of
// them.
//
// Every replica watches the resources and makes its own Snapshots. One of them, which holds a lease, writes statuses and events, and keeps the
// serving certificate. A replica that loses the lease, or the API server, goes on serving with what it has.
package manager
