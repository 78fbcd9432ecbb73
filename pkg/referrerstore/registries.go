package referrerstore

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/transport"
)

// registrySettings is an entry of `registries`: how to connect to the registries that its pattern names.
type registrySettings struct {
	pattern pattern
	useHTTP *bool // nil: as the store has it
	roots   []*x509.Certificate
}

// readRegistries reads the list of blocks and puts the most specific pattern first. It is a list of the store, and not Docker's folder
// certs.d/<host:port>, because neither the keys of a Secret nor those of a ConfigMap can have such names.
func (s *settings) readRegistries(field string, value any) error {
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		return fmt.Errorf("%s must be a list of blocks with a host each, not %s", field, kind(value))
	}
	first := make(map[pattern]int)
	for i, entry := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		block, ok := entry.(map[string]any)
		if !ok {
			return fmt.Errorf("%s must be a block of keys, not %s", at, kind(entry))
		}
		var (
			one     registrySettings
			host    string
			useHTTP bool
		)
		seen, err := readBlock(at, block, map[string]reader{
			"host":     text(&host),
			"useHttp":  truth(&useHTTP),
			"caBundle": certificates(&one.roots),
		})
		if err != nil {
			return err
		}
		if seen["useHttp"] != "" && block[seen["useHttp"]] != nil {
			one.useHTTP = &useHTTP
		}
		if one.pattern, ok = parsePattern(host); !ok {
			return fmt.Errorf("%s.host must be a host, a host and port, or *. and a domain, not %q", at, host)
		}
		if other, twice := first[one.pattern]; twice {
			return fmt.Errorf("%s.host: %s[%d] is for %s, too", at, field, other, host)
		}
		first[one.pattern] = i
		s.registries = append(s.registries, one)
	}
	slices.SortStableFunc(s.registries, func(a, b registrySettings) int { return cmp.Compare(b.pattern.weight(), a.pattern.weight()) })
	return nil
}

// plainHTTP tells whether a registry is reached by http. Nothing but the configuration makes it so.
func (s *settings) plainHTTP(registry string) bool {
	for _, one := range s.registries {
		if one.pattern.names(registry) && one.useHTTP != nil {
			return *one.useHTTP
		}
	}
	return s.useHTTP
}

// privateRoots are the certificate authorities of single registries. As with useHttp, an entry without any leaves it to the next one.
func (s *settings) privateRoots() []transport.Private {
	var private []transport.Private
	for _, one := range s.registries {
		if len(one.roots) > 0 {
			private = append(private, transport.Private{Matches: one.pattern.names, Roots: one.roots})
		}
	}
	return private
}
