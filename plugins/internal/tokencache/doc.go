// Package tokencache keeps the temporary passwords of registries, and the STS sessions of RRSA that they are asked for with, between the runs of
// a short-lived process, in files of a private directory in memory.
//
// A password is good for an hour or less, for one instance, and for what the role may do there. A session is good for an hour, and for all that
// the role may do. Neither is written to a disk nor encrypted, as a key on the same machine would be no secret. So the directory must be on a
// file system in memory, and be this user's alone. The pod's OIDC token is not kept: the kubelet has it in a file already.
//
// Files are replaced whole. Of runs that need the same at the same time, one fetches it and the others wait. A file that is broken or not this
// cache's counts as missing and is logged, and whatever cannot be kept is fetched again by the next run.
package tokencache
