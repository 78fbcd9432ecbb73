package protocol

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/ratify-project/ratify/pkg/common/plugin"
	"github.com/ratify-project/ratify/pkg/referrerstore/types"
)

const (
	// timeout ends a call whose caller has more patience. No admission webhook waits longer.
	timeout = 30 * time.Second
	// maxLine is what Ratify v1.4 reads of one line of output, bufio.MaxScanTokenSize.
	maxLine = 64 << 10
)

// Handler answers a call with the bytes to print. Its errors are of type *plugin.Error, or else failures of the command.
type Handler func(ctx context.Context, call Call) ([]byte, error)

// Main runs the plugin on the standard streams, and returns the exit code. It also sends all logs of this process to standard error, in the form
// that Ratify takes for log.
func (p Protocol) Main(handle Handler) int {
	return p.run(handle, os.Stdin, os.Stdout, os.Stderr)
}

func (p Protocol) run(handle Handler, stdin io.Reader, stdout, stderr io.Writer) int {
	logTo(stderr)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()

	call, failed := p.read(ctx, stdin)
	var reply []byte
	if failed == nil {
		var err error
		if reply, err = guarded(ctx, handle, call); err != nil {
			failed = failure(call, err)
		}
	}
	if failed == nil {
		failed = lost(call, reply)
	}
	code := 0
	if failed != nil {
		reply, code = encode(failed), 1
	}
	if _, err := stdout.Write(reply); err != nil {
		slog.Error("the reply cannot be written to the standard output", "error", err)
		return 1
	}
	return code
}

// guarded calls handle, and makes an error of a panic: without, the plugin would end with a text that is not the protocol's.
func guarded(ctx context.Context, handle Handler, call Call) (reply []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic", "panic", p, "stack", string(debug.Stack()))
			err = plugin.NewError(types.ErrInternalFailure, call.Command+" of "+call.Subject.Original+" ended in a panic", fmt.Sprint(p)+"; the log has the details")
		}
	}()
	return handle(ctx, call)
}

// failure returns what to print of an error.
func failure(call Call, err error) *plugin.Error {
	if failed, ok := errors.AsType[*plugin.Error](err); ok {
		return failed
	}
	return plugin.NewError(types.ErrPluginCmdFailure, call.Command+" of "+call.Subject.Original+" failed", err.Error())
}

// Encode returns a reply as one line of JSON.
func Encode(reply any) ([]byte, error) {
	line, err := json.Marshal(reply)
	if err != nil {
		return nil, plugin.NewError(types.ErrInternalFailure, "the reply cannot be encoded", err.Error())
	}
	return append(line, '\n'), nil
}

func encode(failed *plugin.Error) []byte {
	line, _ := json.Marshal(failed) // a number and texts
	return append(line, '\n')
}

// lost returns an error about a reply that Ratify v1.4 would not take over, nil if it does: of what plugins print it keeps only lines that are JSON
// objects, and would go on with nothing.
func lost(call Call, reply []byte) *plugin.Error {
	const remedy = "use the verifier alibabacloudnotation, which reads the registry itself, or the image of Ratify for Alibaba Cloud"
	reply = bytes.TrimSpace(reply)
	var object map[string]any
	switch {
	case len(reply) >= maxLine:
		return plugin.NewError(types.ErrPluginCmdFailure, fmt.Sprintf("Ratify cannot take over the %d bytes that %s of %s found: it reads lines of less than %d",
			len(reply), call.Command, call.Subject.Original, maxLine), remedy)
	case bytes.ContainsRune(reply, '\n') || json.Unmarshal(reply, &object) != nil:
		return plugin.NewError(types.ErrPluginCmdFailure, fmt.Sprintf("Ratify cannot take over what %s of %s found: it is not one line of JSON, "+
			"as COSE signatures are not", call.Command, call.Subject.Original), remedy)
	}
	return nil
}
