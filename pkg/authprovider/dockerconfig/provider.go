package dockerconfig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/regularfile"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

// Name is the provider's name in configurations.
const Name = "dockerConfig"

const (
	// life is how long credentials are used before the file is read again, unless a registry refuses them. It is upstream's.
	life = time.Hour
	// maxFile bounds the file. One with thousands of registries is smaller.
	maxFile = 1 << 20
)

// Provider reads Docker's configuration file. Make one with New. It is safe for concurrent use.
type Provider struct {
	path     string
	optional bool // the file is not one that the configuration names
	now      func() time.Time
}

// New returns a Provider for the authProvider block of a store; nil is one without keys. Errors name the key. now is usually time.Now.
func New(block map[string]any, now func() time.Time) (*Provider, error) {
	text, err := json.Marshal(block)
	if err != nil {
		return nil, err
	}
	var settings struct {
		Name       string `json:"name"`
		ConfigPath string `json:"configPath"`
	}
	if err := parameter.Decode("", text, &settings); err != nil {
		return nil, err
	}
	if settings.Name != "" && settings.Name != Name {
		return nil, parameter.Errorf("name", "is %q, and there is no auth provider but %s", settings.Name, Name)
	}
	p := &Provider{path: settings.ConfigPath, optional: settings.ConfigPath == "", now: now}
	if p.optional {
		p.path = defaultPath()
	}
	return p, nil
}

// defaultPath returns where Docker has the file, "" where there is no place for it.
func defaultPath() string {
	folder := os.Getenv("DOCKER_CONFIG")
	if folder == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		folder = filepath.Join(home, ".docker")
	}
	return filepath.Join(folder, "config.json")
}

// Provide returns the credentials for an artifact, host[:port]/repository with or without tag and digest. The error wraps
// authprovider.ErrNotCovered if the file has none for the host, or if there is no file and the configuration names none.
func (p *Provider) Provide(_ context.Context, artifact string) (authprovider.AuthConfig, error) {
	registry, _, _ := strings.Cut(artifact, "/")
	none := func(why string) (authprovider.AuthConfig, error) {
		return authprovider.AuthConfig{}, fmt.Errorf("%w: %s has no entry for %s (%s)", authprovider.ErrNotCovered, Name, registry, why)
	}
	if p.path == "" {
		return none("there is no home directory")
	}
	content, err := regularfile.Read(p.path, maxFile)
	switch {
	case p.optional && errors.Is(err, fs.ErrNotExist):
		return none("there is no " + p.path)
	case err != nil:
		return authprovider.AuthConfig{}, fmt.Errorf("reading Docker's configuration: %w", err)
	}
	auths, err := Parse(content)
	if err != nil {
		return authprovider.AuthConfig{}, fmt.Errorf("%s is %w", p.path, err)
	}
	found, ok, err := auths.Find(registry)
	switch {
	case err != nil:
		return authprovider.AuthConfig{}, fmt.Errorf("in %s: %w", p.path, err)
	case !ok:
		return none("in " + p.path)
	}
	found.ExpiresOn = p.now().Add(life)
	return found, nil
}
