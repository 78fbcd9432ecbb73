// Package artifact names what can be wrong with an artifact itself, as opposed to what can go wrong while reading it.
//
// The difference decides a verdict: a signature that breaks the rules is refused, whereas one that could not be read is undetermined. Both the
// store, which reads, and the verifiers, which judge, need the words, and the way of the data lets neither import the other.
package artifact

import "errors"

var (
	// ErrMalformed reports content that was read and is not what it claims to be: a manifest that is no manifest, a digest that differs.
	ErrMalformed = errors.New("malformed artifact")

	// ErrLimit reports an artifact larger, or with more parts, than is ever accepted. Reading it again will not help.
	ErrLimit = errors.New("artifact exceeds a limit")
)
