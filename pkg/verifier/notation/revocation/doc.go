// Package revocation finds out whether certificates are revoked: by OCSP, and by revocation lists where that says nothing.
//
// The checks are notation-core-go's. What is added is what they cost an admission. A Checker remembers the answers of responders, and keeps
// revocation lists in memory and, if it is told to, on disk, until their nextUpdate; it renews them in the background long before that, so
// that a revocation is seen within refreshAfter, an admission seldom waits, and a responder that is down for a while does no harm.
//
// Answers and lists come over plain HTTP, so that whoever is on the path can put anything into them, and what was true yesterday. Nothing is
// used before its signature has been checked against the authority that it is about, and an older answer or list never replaces a newer one:
// what was falsified once is asked for again the next time.
//
// A chain that was found good is good for all images of its signer, for as long as a check would go by the same answers and lists.
//
// Each certificate of a chain is asked about with a share of the time that the request has left, so that a responder which hangs leaves time
// for its revocation list, and both leave time for the verdict.
package revocation
