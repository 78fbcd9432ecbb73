// Package tokencache keeps the temporary passwords of registries between the runs of a short-lived process, in files of a private directory
// in memory.
//
// What is kept is the password that a registry's instance gave for an hour or less, never the session or the token that it was asked for
// with: it is good for that instance only, and for what the role may do there. It is neither written to a disk nor encrypted, as a key on the
// same machine would be no secret. So the directory must be on a file system in memory, and be this user's alone.
//
// Files are replaced whole. Of runs that need the same password at the same time, one fetches it and the others wait. A file that is broken
// or not this cache's counts as missing, and whatever cannot be kept is fetched again by the next run.
package tokencache
