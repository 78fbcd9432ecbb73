package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// load is what Watch told.
type load struct {
	c   *Config
	err error
}

func TestWatch(t *testing.T) {
	dir, certs := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "config.json")
	replace := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	config := strings.Replace(minimal, `"artifactTypes"`, `"verificationCerts": ["`+certs+`"], "artifactTypes"`, 1)
	replace(path, config)
	ctx, cancel := context.WithCancel(t.Context())
	loads, done := make(chan load), make(chan error, 1)
	go func() {
		done <- Watch(ctx, path, discard, func(c *Config, err error) error {
			loads <- load{c, err}
			return nil
		})
	}()
	next := func(what string) load {
		t.Helper()
		select {
		case l := <-loads:
			return l
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: not seen", what)
			return load{}
		}
	}
	if l := next("the first"); l.err != nil {
		t.Fatal(l.err)
	}
	replace(path, strings.Replace(config, `"checker"`, `"other"`, 1))
	if l := next("a change"); l.err != nil || l.c.Verifier.Verifiers[0]["name"] != "other" {
		t.Errorf("%+v", l)
	}
	replace(path, "{")
	if l := next("a bad edit"); l.err == nil || l.c != nil {
		t.Errorf("%+v", l)
	}
	replace(path, config)
	if l := next("the repair"); l.err != nil {
		t.Error(l.err)
	}
	replace(filepath.Join(certs, "new.crt"), "certificate")
	if l := next("a certificate"); l.err != nil {
		t.Error(l.err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if l := next("the removal"); !errors.Is(l.err, os.ErrNotExist) {
		t.Errorf("%+v", l)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// An edit has to be seen in a directory that something else writes to all the time, too.
func TestWatchIsNotHeldUpByABusyDirectory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	write := func(content string) {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Error(err)
		}
	}
	write(minimal)
	var busy sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer busy.Wait()
	defer cancel()
	stop := errors.New("seen")
	seen := 0
	err := Watch(ctx, path, discard, func(*Config, error) error {
		if seen++; seen > 1 {
			return stop
		}
		busy.Go(func() {
			for range time.Tick(settle / 10) {
				if ctx.Err() != nil {
					return
				}
				if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o600); err != nil {
					t.Error(err)
				}
			}
		})
		write(strings.Replace(minimal, `"checker"`, `"other"`, 1))
		return nil
	})
	if !errors.Is(err, stop) {
		t.Errorf("the edit was not seen: %v", err)
	}
}

// The kubelet mounts a ConfigMap as links into a directory that it swaps whole.
func TestWatchSeesConfigMapUpdate(t *testing.T) {
	dir := t.TempDir()
	publish := func(version, content string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, version, "config.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	publish("..1", minimal)
	if err := os.Symlink("..data/config.json", filepath.Join(dir, "config.json")); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("seen")
	seen := 0
	err := Watch(t.Context(), filepath.Join(dir, "config.json"), discard, func(c *Config, err error) error {
		if err != nil {
			return err
		}
		if seen++; seen == 1 {
			publish("..2", strings.Replace(minimal, `"checker"`, `"other"`, 1))
			return nil
		}
		if c.Verifier.Verifiers[0]["name"] != "other" {
			t.Errorf("%+v", c.Verifier)
		}
		return stop
	})
	if !errors.Is(err, stop) {
		t.Error(err)
	}
}
