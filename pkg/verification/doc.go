// Package verification turns a subject into a verdict.
//
// A Snapshot is one immutable configuration: stores, verifiers and policy of the cluster and of each namespace. The Engine
// holds the current Snapshot behind one atomic pointer; a request reads it once. What an Engine remembers belongs to the
// stores, verifiers and policy it was found out with, so that a change of configuration takes effect on the next request.
//
// A verdict has one of three outcomes: Verified, Refused (evidence was read and the policy says no) or Undetermined (it could
// not be found out). Undetermined never admits and is never remembered.
package verification
