package protocol

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/ratify-project/ratify/pkg/common"
	"github.com/ratify-project/ratify/pkg/common/plugin"
	"github.com/ratify-project/ratify/pkg/referrerstore/types"
	"github.com/ratify-project/ratify/pkg/utils"
)

const (
	// maxInput bounds the configuration that is read. Kubernetes takes resources of 1.5 MiB at most.
	maxInput = 4 << 20
	// maxSubject bounds the reference of the subject: a repository name has at most 255 characters, a tag 128, a digest 135 (sha512).
	maxSubject = 1 << 10
)

// Protocol says how Ratify passes the parts of a call.
type Protocol struct {
	// CommandVariable, VersionVariable, SubjectVariable and ArgsVariable name environment variables; the last is "" if there are no arguments.
	CommandVariable, VersionVariable, SubjectVariable, ArgsVariable string
	// Versions are those that the plugin speaks.
	Versions []string
}

// Call is one call of the plugin.
type Call struct {
	Command string
	Version string
	Subject common.Reference
	Args    map[string]string
	Input   []byte // what Ratify wrote to the standard input: JSON, not looked at yet
}

// read reads a call from the environment and the standard input.
func (p Protocol) read(ctx context.Context, stdin io.Reader) (Call, *plugin.Error) {
	variables := []string{p.CommandVariable, p.VersionVariable, p.SubjectVariable}
	if missing := slices.DeleteFunc(slices.Clone(variables), func(name string) bool { return os.Getenv(name) != "" }); len(missing) > 0 {
		return Call{}, plugin.NewError(types.ErrMissingEnvironmentVariables, "environment variables are missing: "+strings.Join(missing, ", "),
			"this program is run by Ratify, as a plugin")
	}
	call := Call{Command: os.Getenv(p.CommandVariable), Version: os.Getenv(p.VersionVariable)}
	if !slices.Contains(p.Versions, call.Version) {
		return Call{}, plugin.NewError(types.ErrVersionNotSupported, fmt.Sprintf("%s: version %q of the protocol is not supported", p.VersionVariable, call.Version),
			"supported are "+strings.Join(p.Versions, ", ")+": set the version in Ratify's configuration to one of these")
	}
	var failed *plugin.Error
	if call.Subject, failed = p.subject(); failed != nil {
		return Call{}, failed
	}
	if call.Args, failed = p.args(); failed != nil {
		return Call{}, failed
	}
	if call.Input, failed = readInput(ctx, stdin); failed != nil {
		return Call{}, failed
	}
	return call, nil
}

// readInput reads the configuration. An input that does not end is left to the end of the process.
func readInput(ctx context.Context, stdin io.Reader) ([]byte, *plugin.Error) {
	var input []byte
	read := make(chan error, 1)
	go func() {
		var err error
		input, err = io.ReadAll(io.LimitReader(stdin, maxInput+1))
		read <- err
	}()
	var err error
	select {
	case err = <-read:
	case <-ctx.Done():
		err = fmt.Errorf("it has not ended: %w", ctx.Err())
	}
	if err != nil {
		return nil, plugin.NewError(types.ErrIOFailure, "the standard input cannot be read", err.Error())
	}
	if len(input) > maxInput {
		return nil, plugin.NewError(types.ErrConfigParsingFailure, fmt.Sprintf("the configuration has more than %d bytes", maxInput), "")
	}
	return input, nil
}

func (p Protocol) subject() (common.Reference, *plugin.Error) {
	text := os.Getenv(p.SubjectVariable)
	if len(text) > maxSubject {
		return common.Reference{}, plugin.NewError(types.ErrArgsParsingFailure, fmt.Sprintf("%s has %d bytes, and %d are accepted",
			p.SubjectVariable, len(text), maxSubject), "")
	}
	subject, err := utils.ParseSubjectReference(text)
	if err != nil {
		return common.Reference{}, plugin.NewError(types.ErrArgsParsingFailure, fmt.Sprintf("%s: %q is not an image reference", p.SubjectVariable, text),
			"write registry/repository:tag or registry/repository@sha256:…")
	}
	return subject, nil
}

// args reads key=value;key=value.
func (p Protocol) args() (map[string]string, *plugin.Error) {
	args := make(map[string]string)
	text := os.Getenv(p.ArgsVariable) // "" for the name ""
	for pair := range strings.SplitSeq(text, ";") {
		key, value, ok := strings.Cut(pair, "=")
		if _, twice := args[key]; text != "" && (!ok || twice || strings.Contains(value, "=")) {
			return nil, plugin.NewError(types.ErrArgsParsingFailure, fmt.Sprintf("%s: %q is not key=value, or its key is there twice", p.ArgsVariable, pair), "")
		}
		if ok {
			args[key] = value
		}
	}
	return args, nil
}
