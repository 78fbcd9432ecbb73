package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// tools are the absolute paths of what rows run.
type tools struct {
	ratify, notation, cosign string
	signingPlugin            string
	plugins                  string // a folder
}

// environment is what a row has: the tools, the emulated cloud with its people, a folder, and a count of what it has shown. A row's
// steps follow each other; no two of them run at once.
type environment struct {
	tools
	world *scenario.World // shared by all rows: each pushes to repositories of its own
	dir   string          // of this row alone; also the home of the programs that it runs
	env   []string        // KEY=value for ratify, beside what a pod has

	admissions, denials int
	configs             int           // written so far
	keys                []notationKey // given to the notation command so far
}

// verdict is what `ratify verify` answered.
type verdict struct {
	outcome string // verified, refused or undetermined
	text    string // the whole answer, as JSON
}

// verify runs `ratify verify` about an image with a config.json, as it would run in a pod.
func (e *environment) verify(ctx context.Context, config []byte, image string) (verdict, error) {
	e.configs++
	path, err := e.write(fmt.Sprintf("config-%d.json", e.configs), config)
	if err != nil {
		return verdict{}, err
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, e.ratify, "verify", "-c", path, "-s", image, "-o", "json")
	cmd.Env = e.podEnv(e.env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return verdict{}, fmt.Errorf("run ratify: %w", err)
	}
	var answer struct {
		Outcome string `json:"outcome"`
	}
	if problem := json.Unmarshal(stdout.Bytes(), &answer); problem != nil {
		return verdict{}, fmt.Errorf("ratify verify %s gave no verdict: exit code %d\n%s%s", image, cmd.ProcessState.ExitCode(), &stdout, &stderr)
	}
	code, known := map[string]int{"verified": 0, "refused": 1, "undetermined": 2}[answer.Outcome]
	if !known || code != cmd.ProcessState.ExitCode() {
		return verdict{}, fmt.Errorf("ratify verify %s says %q and ends with exit code %d", image, answer.Outcome, cmd.ProcessState.ExitCode())
	}
	return verdict{answer.Outcome, stdout.String()}, nil
}

// admits checks that an image is admitted, and that the answer has each of the words.
func (e *environment) admits(ctx context.Context, config []byte, image string, words ...string) error {
	return e.expect(ctx, "verified", config, image, words)
}

// refuses checks that an image is refused for a reason that has each of the words.
func (e *environment) refuses(ctx context.Context, config []byte, image string, words ...string) error {
	return e.expect(ctx, "refused", config, image, words)
}

// cannotTell checks that an image is neither admitted nor refused, because something could not be found out.
func (e *environment) cannotTell(ctx context.Context, config []byte, image string, words ...string) error {
	return e.expect(ctx, "undetermined", config, image, words)
}

func (e *environment) expect(ctx context.Context, outcome string, config []byte, image string, words []string) error {
	v, err := e.verify(ctx, config, image)
	if err != nil {
		return err
	}
	return e.count(v, outcome, image, words)
}

// count checks a verdict and counts it for the row.
func (e *environment) count(v verdict, outcome, image string, words []string) error {
	if outcome != "verified" && len(words) == 0 {
		return fmt.Errorf("the row does not say why %s is %s", image, outcome)
	}
	if v.outcome != outcome {
		return fmt.Errorf("%s is %s, want %s:\n%s", image, v.outcome, outcome, v.text)
	}
	for _, word := range words {
		if !strings.Contains(v.text, word) {
			return fmt.Errorf("%s is %s as it should be, but the answer does not say %q:\n%s", image, v.outcome, word, v.text)
		}
	}
	if outcome == "verified" {
		e.admissions++
	} else {
		e.denials++
	}
	return nil
}

// podEnv returns the environment of a program in a pod, with the row's folder as its home.
func (e *environment) podEnv(more ...string) []string {
	return append(append(e.world.Cloud.PodEnv(), "HOME="+e.dir, "PATH="+os.Getenv("PATH")), more...)
}

// write writes a file in the row's folder, with the folders on the way to it, and returns its path.
func (e *environment) write(name string, content []byte) (string, error) {
	path := filepath.Join(e.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, os.WriteFile(path, content, 0o600)
}

// command runs a program in the row's folder with an environment, and returns what it prints. The error has that, too.
func (e *environment) command(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = e.dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// image is an image in a registry.
type image struct {
	ref            string // by digest
	repo           *remote.Repository
	desc           ocispec.Descriptor
	user, password string // with which the registry's owner signs; empty: anybody may
}

// push pushes an unsigned image to an emulated registry, with tag v1. Its digest depends on the repository.
func (e *environment) push(ctx context.Context, r scenario.Registry, repository string) (image, error) {
	repo, err := signing.Repository(r.Host+"/"+repository, e.world.Cloud.PushTransport(r.ID))
	if err != nil {
		return image{}, err
	}
	i, err := pushTo(ctx, repo)
	i.user, i.password = e.world.Cloud.OwnerPassword(r.ID)
	return i, err
}

func pushTo(ctx context.Context, repo *remote.Repository) (image, error) {
	name := repo.Reference.Registry + "/" + repo.Reference.Repository
	desc, err := signing.PushImage(ctx, repo, "v1", name)
	return image{ref: name + "@" + desc.Digest.String(), repo: repo, desc: desc}, err
}
