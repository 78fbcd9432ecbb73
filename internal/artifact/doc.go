// Package artifact names what can be wrong with an artifact itself, as opposed to what can go wrong while reading it.
//
// The difference decides a verdict: a signature that breaks the rules is refused, whereas one that could not be read is undetermined. Both the
// store, which reads, and the verifiers, which judge, need the words, and the way of the data lets neither import the other.
//
// Only what follows from content that matches its digest, or from a descriptor in such content, is a fact about the artifact. Bytes that differ
// from their digest or run past their declared size are a fault of whoever delivered them, and may be right the next time.
package artifact
