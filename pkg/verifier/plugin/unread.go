package plugin

import (
	"regexp"
	"strings"

	re "github.com/ratify-project/ratify/errors"
)

// failures are words about a read that failed. A program's result has them in its message or its reason: those of Ratify's programs about
// what they were reading, those of its store and of the library that reads schemas about how that failed, or, if a program passes on an
// error as text, the error's code.
var failures = []string{
	"Failed to fetch reference manifest for subject",
	"Failed to fetch blob for subject",
	"Failed to connect to the remote registry",
	"Failed to fetch the artifact metadata from the registry",
	"Could not read schema from HTTP",
	re.ErrorCodeGetReferenceManifestFailure.String(),
	re.ErrorCodeGetBlobContentFailure.String(),
	re.ErrorCodeGetSubjectDescriptorFailure.String(),
	re.ErrorCodeListReferrersFailure.String(),
	re.ErrorCodeReferrerStoreFailure.String(),
	re.ErrorCodeRepositoryOperationFailure.String(),
	re.ErrorCodeCreateRepositoryFailure.String(),
	re.ErrorCodeAuthDenied.String(),
}

// request matches the beginning of an error of net/http and oras-go: which request failed. It may also have been for a schema.
var request = regexp.MustCompile(`(?i)\b(get|head|post) "https?://`)

// unread tells whether a failed result's words tell of a read that failed. Whoever makes artifacts may bring such words about, and gains
// nothing: the image is not admitted either way.
func unread(words string) bool {
	for _, failure := range failures {
		if strings.Contains(words, failure) {
			return true
		}
	}
	return request.MatchString(words)
}
