package cosign

import (
	"regexp"
	"strings"

	"github.com/ratify-project/ratify/pkg/common"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
)

// validScope is what a scope consists of besides one wildcard at its end: the letters of image references.
var validScope = regexp.MustCompile(`^[a-zA-Z0-9._:@/-]+\*?$|^\*$`)

// everything is the scope of all images that no other scope covers.
const everything = "*"

// scope is a reference of an image, or with a wildcard the beginning of references.
type scope string

func (s scope) prefix() (string, bool) { return strings.CutSuffix(string(s), "*") }

// covers reports whether the scope covers an image reference.
func (s scope) covers(reference string) bool {
	if prefix, ok := s.prefix(); ok {
		return strings.HasPrefix(reference, prefix)
	}
	return reference == string(s)
}

// overlaps reports whether there are references that both scopes cover.
func (s scope) overlaps(other scope) bool {
	a, aWild := s.prefix()
	b, bWild := other.prefix()
	return aWild && strings.HasPrefix(b, a) || bWild && strings.HasPrefix(a, b) || a == b && aWild == bWild
}

// neverMatches reports whether the scope lacks what is behind the repository in every reference: a tag, or a digest.
func (s scope) neverMatches() bool {
	prefix, wild := s.prefix()
	_, rest, inHost := strings.Cut(prefix, "/")
	repository, _, digested := strings.Cut(rest, "@")
	tagged := strings.Contains(repository, ":")
	return !wild && (!inHost || !digested && !tagged) || digested && tagged
}

// nameOf returns the reference of an image by the tag that it was asked for with, else by its digest.
func nameOf(subject common.Reference) string {
	if subject.Tag != "" {
		return subject.Path + ":" + subject.Tag
	}
	return subject.Path + "@" + subject.Digest.String()
}

// checkScopes returns an error unless exactly one policy covers a reference, besides the one of everything. See "Scopes" in Ratify's
// documentation of the verifier.
func checkScopes(policies []*trustPolicy) error {
	type use struct {
		scope scope
		field string
	}
	var seen []use
	global := ""
	for _, p := range policies {
		for i, s := range p.scopes {
			field := indexed(p.field+".scopes", i)
			switch {
			case s == "":
				return parameter.Errorf(field, "is empty")
			case !validScope.MatchString(string(s)):
				return parameter.Errorf(field, "%q is not an image reference, nor the beginning of one with * behind it", s)
			case s == everything && len(p.scopes) > 1:
				return parameter.Errorf(field, "* cannot be used with other scopes in the same trust policy")
			case s == everything && global != "":
				return parameter.Errorf(field, "* is already the scope of %s", global)
			case s == everything:
				global = p.field
				continue
			}
			for _, other := range seen {
				if s.overlaps(other.scope) {
					return parameter.Errorf(field, "%q overlaps with %s, %q", s, other.field, other.scope)
				}
			}
			seen = append(seen, use{s, field})
		}
	}
	return nil
}

// policyFor returns the trust policy that covers a reference, or nil.
func policyFor(policies []*trustPolicy, reference string) *trustPolicy {
	var global *trustPolicy
	for _, p := range policies {
		for _, s := range p.scopes {
			if s == everything {
				global = p
			} else if s.covers(reference) {
				return p // the only one: scopes do not overlap
			}
		}
	}
	return global
}
