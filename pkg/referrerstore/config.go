package referrerstore

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/spelling"
)

const (
	// defaultName is the name of the store in Ratify's configuration.
	defaultName = "oras"
	// defaultTTL is upstream's.
	defaultTTL = 10 * time.Second
	// maxTTL is as many seconds as fit in 31 bits, far below what a Duration holds. Upstream takes any number.
	maxTTL = (1<<31 - 1) * time.Second
)

// settings is a store's configuration, read.
type settings struct {
	name           string
	useHTTP        bool
	cosign         bool
	cacheEnabled   bool
	ttl            time.Duration
	localCachePath string
	allowAnonymous bool
	roots          []*x509.Certificate // of all registries
	registries     []registrySettings  // the most specific first
	providers      []providerConfig
}

// providerConfig is one auth provider's block.
type providerConfig struct {
	field    string // where it stands
	block    map[string]any
	patterns []pattern
}

// reader takes the value of a key. field is the key as the user wrote it.
type reader func(field string, value any) error

// parseConfig reads cfg.
func parseConfig(cfg storeconfig.StorePluginConfig) (settings, error) {
	s := settings{name: defaultName, ttl: defaultTTL, allowAnonymous: true}
	seen, err := readBlock("", cfg, map[string]reader{
		"name":           text(&s.name),
		"version":        func(string, any) error { return nil }, // of the configuration's format; read by who reads the file
		"source":         func(string, any) error { return nil }, // of a plugin to be downloaded; this store is built in
		"useHttp":        truth(&s.useHTTP),
		"cosignEnabled":  truth(&s.cosign),
		"cacheEnabled":   truth(&s.cacheEnabled),
		"ttl":            seconds(&s.ttl),
		"localCachePath": text(&s.localCachePath),
		"allowAnonymous": truth(&s.allowAnonymous),
		"caBundle":       certificates(&s.roots),
		"registries":     s.readRegistries,
		"authProvider":   s.readProvider,
		"authProviders":  s.readProviders,
	})
	if err != nil {
		return settings{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if seen["authProvider"] != "" && seen["authProviders"] != "" {
		return settings{}, fmt.Errorf("%w: authProvider and authProviders exclude each other: move the former's block into the latter's list", ErrConfig)
	}
	if s.name == "" {
		return settings{}, fmt.Errorf("%w: name is empty", ErrConfig)
	}
	return s, nil
}

// readBlock reads the keys of a block that stands at a field ("" for the store's own) and returns which there were, as the user wrote them.
// Keys are matched without regard to case, as upstream's decoding does.
func readBlock(at string, block map[string]any, readers map[string]reader) (seen map[string]string, err error) {
	if at != "" {
		at += "."
	}
	names := slices.Collect(maps.Keys(readers))
	seen = make(map[string]string)
	for _, field := range slices.Sorted(maps.Keys(block)) {
		i := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, field) })
		if i < 0 {
			return nil, fmt.Errorf("unknown key %q%s", at+field, suggest(field, names))
		}
		if other, twice := seen[names[i]]; twice {
			return nil, fmt.Errorf("%s and %s are the same key", at+other, at+field)
		}
		seen[names[i]] = field
		if block[field] == nil {
			continue
		}
		if err := readers[names[i]](at+field, block[field]); err != nil {
			return nil, err
		}
	}
	return seen, nil
}

// suggest words which known key an unknown one may mean.
func suggest(field string, names []string) string {
	if nearest := spelling.Nearest(field, names); nearest != "" {
		return fmt.Sprintf(": did you mean %s?", nearest)
	}
	slices.Sort(names)
	return ": known are " + strings.Join(names, ", ")
}

func text(to *string) reader {
	return func(field string, value any) error {
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("%s must be text, not %s", field, kind(value))
		}
		*to = s
		return nil
	}
}

// truth takes true or false, also as text: templates quote them.
func truth(to *bool) reader {
	return func(field string, value any) (err error) {
		switch v := value.(type) {
		case bool:
			*to = v
			return nil
		case string:
			if *to, err = strconv.ParseBool(v); err == nil {
				return nil
			}
		}
		return fmt.Errorf("%s must be true or false, not %s", field, kind(value))
	}
}

// seconds takes a number of seconds, also as text. Zero is upstream's default.
func seconds(to *time.Duration) reader {
	return func(field string, value any) error {
		// The value came as JSON or YAML: json words all its kinds of numbers alike.
		raw, err := json.Marshal(value)
		n, parseErr := strconv.ParseUint(strings.Trim(string(raw), `"`), 10, 31)
		if err != nil || parseErr != nil {
			return fmt.Errorf("%s must be a number of whole seconds from 0 to %d, not %s", field, int(maxTTL.Seconds()), kind(value))
		}
		if n > 0 {
			*to = time.Duration(n) * time.Second
		}
		return nil
	}
}

// certificates takes PEM, or the path of a file that holds it.
func certificates(to *[]*x509.Certificate) reader {
	return func(field string, value any) error {
		var bundle string
		err := text(&bundle)(field, value)
		if err != nil {
			return err
		}
		if strings.Contains(bundle, "-----BEGIN") {
			*to, err = pemfile.Certificates([]byte(bundle))
		} else {
			*to, err = pemfile.ReadCertificates(strings.TrimSpace(bundle))
		}
		if err != nil {
			return fmt.Errorf("%s must be certificates in PEM, or the path of a file of them: %w", field, err)
		}
		return nil
	}
}

func (s *settings) readProvider(field string, value any) error {
	block, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s must be a block of keys, not %s", field, kind(value))
	}
	s.providers = []providerConfig{{field: field, block: block}}
	return nil
}

// readProviders reads a list of blocks, each upstream's with `registries` besides.
func (s *settings) readProviders(field string, value any) error {
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		return fmt.Errorf("%s must be a list of blocks with a name each, not %s", field, kind(value))
	}
	for i, entry := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		block, ok := entry.(map[string]any)
		if !ok {
			return fmt.Errorf("%s must be a block of keys, not %s", at, kind(entry))
		}
		p := providerConfig{field: at, block: maps.Clone(block)}
		if registries, ok := block["registries"]; ok {
			delete(p.block, "registries")
			patterns, err := parsePatterns(at+".registries", registries)
			if err != nil {
				return err
			}
			p.patterns = patterns
		}
		s.providers = append(s.providers, p)
	}
	return nil
}

// kind words a value for an error, without the contents of blocks, which may hold secrets.
func kind(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v[:min(len(v), 80)])
	case map[string]any:
		return "a block"
	case []any:
		return fmt.Sprintf("a list of %d", len(v))
	}
	return fmt.Sprint(value)
}
