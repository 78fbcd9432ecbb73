package artifact

import "errors"

var (
	// ErrMalformed reports content that matches its digest and yet is not what it claims to be: a manifest that is no manifest.
	ErrMalformed = errors.New("malformed artifact")

	// ErrLimit reports an artifact that is, by its own descriptors, larger or in more parts than is ever accepted.
	ErrLimit = errors.New("artifact exceeds a limit")
)
