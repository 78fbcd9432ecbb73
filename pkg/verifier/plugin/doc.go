// Package plugin verifies with programs: any executable in a plugin directory that speaks Ratify's protocol for verifiers.
//
// A program is run once for each referrer. It has RATIFY_VERIFIER_COMMAND (VERIFY), RATIFY_VERIFIER_SUBJECT and RATIFY_VERIFIER_VERSION in its
// environment, which otherwise is that of this process, and on its standard input a JSON object with the verifier's configuration, the
// store's, and the referrer's descriptor. It prints its result as one line of JSON. All other lines, on either stream, are its log.
//
// A program reads the registry by itself. Ratify's kit for plugins brings a store for it, which is made of the configuration of ours. That
// store knows fewer settings: a certificate authority goes to SSL_CERT_FILE, a proxy to HTTPS_PROXY. It also keeps what it reads on disk,
// below localCachePath or else HOME, and needs a place that it may write to. It neither compares what it reads with digests nor bounds it: what
// such a program says is as good as the registry, and the way to it.
//
// # What could not be found out
//
// A program that does not end well, or whose result cannot be understood, is an error and not a refusal. Programs that are Ratify's own,
// though, report a registry that does not answer as a failed verification. This package reads the referrer's manifest from the store before
// it runs a program, and takes failed results for errors if their words tell of a failed read or request (see unread.go). What remains is
// a program that says in words of its own that it could not read something: its result is taken as it stands, a refusal. The
// contrary, an admission, does not come of it.
package plugin
