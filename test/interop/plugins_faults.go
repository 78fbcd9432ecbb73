package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/registry"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// faulty is a registry that fails to give blobs, which are what only programs read, as the first part of the repository's name says.
type faulty struct {
	http.Handler
	// hung receives when the registry begins to let somebody hang, and again when that has gone.
	hung chan struct{}
}

func (f faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	if !strings.Contains(r.URL.Path, "/blobs/") {
		fault = ""
	}
	switch fault {
	case "unavailable":
		w.WriteHeader(http.StatusServiceUnavailable)
	case "busy":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case "forbidden":
		w.WriteHeader(http.StatusForbidden)
	case "breaking":
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("{"))
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "hanging":
		f.hung <- struct{}{}
		<-r.Context().Done()
		f.hung <- struct{}{}
	default:
		f.Handler.ServeHTTP(w, r)
	}
}

// failedReads runs each of Ratify's programs against a registry that gives manifests and fails to give blobs. Each artifact differs from
// the others, for the programs keep on disk what they read.
func failedReads(ctx context.Context, e *environment) error {
	g := registry.New(nil)
	faults := faulty{g, make(chan struct{}, 2)}
	server := httptest.NewServer(faults)
	defer func() {
		server.CloseClientConnections() // or Close waits for who hangs
		server.Close()
	}()
	schema, err := e.write("schema.json", []byte(`{"type": "object", "required": ["runs"]}`))
	if err != nil {
		return err
	}
	all := []string{"good", "forbidden", "breaking"} // and some that the programs repeat for seconds, with the same words in the end
	for _, c := range []struct {
		verifier     map[string]any
		artifactType string
		content      func(unique string) string
		says         string // of what it cannot read
		faults       []string
	}{
		{map[string]any{"name": "sbom"}, spdxJSON, func(unique string) string { return sbom([3]string{unique, "1", "MIT"}) },
			"could not read what it needs", slices.Concat(all, []string{"unavailable", "busy", "hanging"})},
		{map[string]any{"name": "vulnerabilityreport"}, sarifJSON, func(unique string) string { return sarif("Trivy", "CVE-"+unique, "LOW") },
			"could not read what it needs", all},
		{map[string]any{"name": "licensechecker", "allowedLicenses": []string{"MIT"}}, spdxTagValue, func(unique string) string {
			return strings.ReplaceAll(spdxText("MIT"), "example.com/app", "example.com/"+unique)
		}, "exit status 1", all},
		{map[string]any{"name": "schemavalidator", "schemas": map[string]string{sarifJSON: "file://" + schema}}, sarifJSON,
			func(unique string) string { return fmt.Sprintf(`{"runs": [], "id": %q}`, unique) }, "exit status 1", all},
	} {
		c.verifier["artifactTypes"] = c.artifactType
		config, err := withStore(e.pluginConfig(map[string]any{everyArtifact: "all"}, c.verifier), orasStore(map[string]any{"useHttp": true}))
		if err != nil {
			return err
		}
		for _, fault := range c.faults {
			name := fmt.Sprint(fault, "/", c.verifier["name"])
			repo, err := signing.Repository(server.Listener.Addr().String()+"/"+name, registry.Direct(g.Open()))
			if err != nil {
				return err
			}
			i, err := pushTo(ctx, repo)
			if err != nil {
				return err
			}
			if _, err := i.attach(ctx, i.desc, c.artifactType, c.content(fault), time.Now()); err != nil {
				return err
			}
			switch fault {
			case "good":
				err = e.admits(ctx, config, i.ref)
			case "hanging":
				err = e.givesUp(ctx, config, i.ref, faults.hung)
			default:
				err = e.cannotTell(ctx, config, i.ref, c.says)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// givesUp interrupts `ratify verify` when its program hangs, and checks that the program does not live on.
func (e *environment) givesUp(ctx context.Context, config []byte, image string, hung <-chan struct{}) error {
	path, err := e.write("config-hung.json", config)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, e.ratify, "verify", "-c", path, "-s", image)
	cmd.Env = e.podEnv()
	if err := cmd.Start(); err != nil {
		return err
	}
	for _, step := range []func() error{func() error { return cmd.Process.Signal(os.Interrupt) }, cmd.Wait} {
		select {
		case <-hung:
		case <-ctx.Done():
			return errors.Join(errors.New("ratify, or the program, which is to end with it, still waits"), cmd.Wait())
		}
		err = step()
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || !exit.Exited() {
		return fmt.Errorf("interrupted: %v, want an exit code", err)
	}
	return nil
}

// withStore returns config.json with another store.
func withStore(config []byte, store map[string]any) ([]byte, error) {
	var c map[string]any
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, err
	}
	c["store"].(map[string]any)["plugins"] = []any{store}
	return json.Marshal(c)
}
