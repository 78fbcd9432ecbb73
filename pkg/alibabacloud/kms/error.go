package kms

import (
	"errors"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

// What errors of calls are about; errors.Is tells. A failure that is none of these may go away by itself.
var (
	// ErrNotFound: there is no such key, version, alias or secret.
	ErrNotFound = errors.New("not found in KMS")
	// ErrUnusable: the key is disabled, or is to be deleted, or has no material yet.
	ErrUnusable = errors.New("not usable in KMS")
	// ErrDenied: the identity has no right to the call.
	ErrDenied = errors.New("denied by KMS")
	// ErrUnsupported: this way to KMS does not have the call.
	ErrUnsupported = errors.New("not supported by this endpoint of KMS")
)

// Error is a call of KMS that failed. Its text ends with what to do. The cloud's Code and RequestID are in Failure.
type Error struct {
	Op       string // the API's action
	Subject  string // what it was about, such as "key key-hzz…" or "secret signer"
	Endpoint string // host[:port]
	Identity string // whose rights the call was made with

	reply.Failure
}
