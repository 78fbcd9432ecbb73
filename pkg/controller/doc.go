// Package controller makes Snapshots of Ratify's Kubernetes resources.
//
// A namespace's Store, Verifier and Policy resources replace the cluster's of the same kind; key management providers are named by those who
// use them. A namespaced resource may use the key management providers of its own namespace and cluster-wide ones, a cluster-wide resource
// only cluster-wide ones: whoever may write in a namespace must not decide what the cluster trusts.
//
// Each resource stands for itself, so that one tenant's mistake leaves the others alone. A store, verifier or policy that cannot be made of
// its changed resource stays as it was. One that never could be made takes its place all the same, and what it should have decided is
// undetermined: it must not be missing in silence. Key material is never older than its resource: what a changed or deleted provider held
// is gone, for verifiers that stay as they were, too, and those that need it cannot decide.
//
// What a change does not touch is kept, the same stores, verifiers and policies, and with them the verdicts that they took part in: a verifier as
// long as its resource, and the key material that it was made of, are what they were. One that was made of files is not, as nothing tells when
// these change.
//
// A resource of a namespace uses the plugins that are installed: it chooses neither their directory nor what is downloaded. Its store uses the
// auth providers, which act with this process's identity, but does not say where their credentials go.
//
// New in this distribution: `mandatory: true` among the parameters of a cluster-wide Verifier or Policy. A namespace can add to what is
// mandatory, but not replace it; see verification.Mandatory.
package controller
