package dockerconfig

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

const artifact = "registry.example.com:5000/app@sha256:0000000000000000000000000000000000000000000000000000000000000000"

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The file is the one that is configured, that of DOCKER_CONFIG, or that of the home directory, and is read each time.
func TestProvide(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		block        map[string]any
		docker, home string
		file         string
	}{
		"configured":        {map[string]any{"name": Name, "configPath": filepath.Join(dir, "login.json")}, filepath.Join(dir, "unused"), dir, "login.json"},
		"DOCKER_CONFIG":     {map[string]any{"name": Name}, filepath.Join(dir, "docker"), dir, "docker/config.json"},
		"home":              {nil, "", filepath.Join(dir, "home"), "home/.docker/config.json"},
		"empty path, as no": {map[string]any{"name": Name, "configPath": ""}, "", filepath.Join(dir, "home2"), "home2/.docker/config.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DOCKER_CONFIG", tt.docker)
			t.Setenv("HOME", tt.home)
			p, err := New(tt.block, clock)
			if err != nil {
				t.Fatal(err)
			}
			for _, user := range []string{"first", "second"} {
				write(t, filepath.Join(dir, tt.file), `{"auths":{"registry.example.com:5000":{"username":"`+user+`","password":"x"}}}`)
				want := authprovider.AuthConfig{Username: user, Password: "x", ExpiresOn: now.Add(time.Hour)}
				if got, err := p.Provide(t.Context(), artifact); err != nil || got != want {
					t.Errorf("%+v, %v", got, err)
				}
			}
			if _, err := p.Provide(t.Context(), "other.example.com/app"); !errors.Is(err, authprovider.ErrNotCovered) ||
				!strings.Contains(err.Error(), "dockerConfig has no entry for other.example.com (in "+filepath.Join(dir, tt.file)+")") {
				t.Errorf("of another registry: %v", err)
			}
		})
	}
}

// A file that nobody named need not be there. Else what cannot be read is an error, and never "not covered", which would mean an anonymous pull.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "broken", "config.json"), `{"auths": top-secret`)
	write(t, filepath.Join(dir, "entry", "config.json"), `{"auths":{"registry.example.com:5000":{"auth":"top-secret"}}}`)
	write(t, filepath.Join(dir, "large", "config.json"), strings.Repeat(" ", maxFile+1))
	write(t, filepath.Join(dir, "folder", "config.json", "file"), "")
	for _, tt := range []struct {
		folder, says string
		optional     bool // as the default
	}{
		{"none", "there is no ", true},
		{"none", "no such file", false},
		{"broken", "is not the JSON of Docker's configuration", true},
		{"broken", "is not the JSON of Docker's configuration", false},
		{"entry", `auth of its entry "registry.example.com:5000"`, true},
		{"large", "is larger than", true},
		{"folder", "is not a regular file", true},
	} {
		path := filepath.Join(dir, tt.folder, "config.json")
		t.Setenv("DOCKER_CONFIG", filepath.Dir(path))
		block := map[string]any{"name": Name, "configPath": path}
		if tt.optional {
			delete(block, "configPath")
		}
		p, err := New(block, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Provide(t.Context(), artifact)
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "top-secret") {
			t.Errorf("%s: %v, want %q", tt.folder, err, tt.says)
		}
		if none := tt.optional && tt.folder == "none"; errors.Is(err, authprovider.ErrNotCovered) != none {
			t.Errorf("%s: not covered: %t", tt.folder, !none)
		}
	}
}

func TestNowhere(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", "")
	t.Setenv("HOME", "")
	p, err := New(nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Provide(t.Context(), artifact); !errors.Is(err, authprovider.ErrNotCovered) || !strings.Contains(err.Error(), "no home directory") {
		t.Error(err)
	}
}

func TestNewNamesTheField(t *testing.T) {
	for want, block := range map[string]map[string]any{
		"configpth: is unknown; did you mean configPath?": {"name": Name, "configpth": "/a"},
		`name: is "awsEcrBasic"`:                          {"name": "awsEcrBasic"},
		"configPath: is a JSON number":                    {"name": Name, "configPath": 7},
	} {
		if _, err := New(block, time.Now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
