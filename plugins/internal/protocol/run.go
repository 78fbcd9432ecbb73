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

	call, failed := p.read(stdin)
	var reply []byte
	if failed == nil {
		var err error
		if reply, err = handle(ctx, call); err != nil {
			failed = failure(call, err)
		}
	}
	code := 0
	if failed != nil {
		reply, code = encode(failed), 1
	} else if lost := loses(reply); lost != "" {
		slog.Warn("Ratify v1.4 cannot take over this reply as its runner of plugins loses " + lost + "; use the verifier alibabacloudnotation, " +
			"which reads the registry itself, or the image of Ratify for Alibaba Cloud")
	}
	if _, err := stdout.Write(reply); err != nil {
		slog.Error("the reply cannot be written to the standard output", "error", err)
		return 1
	}
	return code
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

// loses words what Ratify v1.4 loses of a reply, "" if nothing. It hands on only lines with JSON objects.
func loses(reply []byte) string {
	for line := range bytes.Lines(reply) {
		if len(line) > maxLine {
			return fmt.Sprintf("lines of more than %d bytes", maxLine)
		}
	}
	if !json.Valid(reply) || bytes.Count(bytes.TrimSpace(reply), []byte("\n")) > 0 {
		return "what is not JSON on one line (such as COSE signatures)"
	}
	return ""
}
