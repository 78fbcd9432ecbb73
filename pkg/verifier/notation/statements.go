package notation

import (
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
)

// maxPaths bounds the repositories whose trust policy is known, so that they stay below 2 MiB. For others it is found anew.
const maxPaths = 4096

// statement is one trust policy of a document.
type statement struct {
	*trustpolicy.TrustPolicy
	level string // its verification level
}

// statements finds the trust policy for a repository as notation-go does, and remembers it: notation-go compiles two regular expressions each
// time. It is safe because the document never changes, and the repository's path alone decides.
type statements struct {
	document *trustpolicy.Document
	byName   map[string]*statement
	byPath   *lru.Cache[string, *statement] // nil for paths that no policy covers
}

func newStatements(document *trustpolicy.Document) (*statements, error) {
	byPath, err := lru.New[string, *statement](maxPaths)
	if err != nil {
		return nil, err
	}
	s := &statements{document, make(map[string]*statement), byPath}
	for i := range document.TrustPolicies {
		policy := &document.TrustPolicies[i]
		level, err := policy.SignatureVerification.GetVerificationLevel()
		if err != nil {
			return nil, err
		}
		s.byName[policy.Name] = &statement{policy, level.Name}
	}
	return s, nil
}

// of returns the trust policy for the repository at path, nil if none covers it.
func (s *statements) of(path string) *statement {
	if found, ok := s.byPath.Get(path); ok {
		return found
	}
	var found *statement
	if policy, err := s.document.GetApplicableTrustPolicy(path + "@"); err == nil {
		found = s.byName[policy.Name]
	}
	s.byPath.Add(path, found)
	return found
}
