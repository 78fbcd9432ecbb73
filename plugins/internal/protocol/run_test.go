package protocol

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/ratify-project/ratify/pkg/common/plugin"
	"github.com/ratify-project/ratify/pkg/referrerstore/types"
	"github.com/sirupsen/logrus"
)

var spoken = Protocol{CommandVariable: "T_COMMAND", VersionVariable: "T_VERSION", SubjectVariable: "T_SUBJECT", ArgsVariable: "T_ARGS",
	Versions: []string{"1.0.0", "0.1.0"}}

// setCall sets the environment of a good call, and then changes it.
func setCall(t *testing.T, changes ...string) {
	t.Helper()
	for _, variable := range append([]string{"T_COMMAND=DO", "T_VERSION=1.0.0", "T_SUBJECT=r.example/app:v1", "T_ARGS=a=1;b="}, changes...) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
}

// echo prints what it was called with.
func echo(_ context.Context, call Call) ([]byte, error) {
	return Encode(map[string]any{"command": call.Command, "path": call.Subject.Path, "tag": call.Subject.Tag, "args": call.Args, "input": string(call.Input)})
}

func TestCall(t *testing.T) {
	setCall(t)
	var stdout, stderr bytes.Buffer
	code := spoken.run(echo, strings.NewReader("{}"), &stdout, &stderr)
	const want = `{"args":{"a":"1","b":""},"command":"DO","input":"{}","path":"r.example/app","tag":"v1"}` + "\n"
	if code != 0 || stdout.String() != want || stderr.Len() > 0 {
		t.Errorf("it ends with %d, prints %s and logs %s", code, &stdout, &stderr)
	}
}

func TestBadCalls(t *testing.T) {
	for _, tt := range []struct {
		name  string
		env   []string
		stdin io.Reader
		code  uint
		says  string
	}{
		{"no command", []string{"T_COMMAND="}, nil, types.ErrMissingEnvironmentVariables, "T_COMMAND"},
		{"nothing", []string{"T_COMMAND=", "T_SUBJECT=", "T_VERSION="}, nil, types.ErrMissingEnvironmentVariables, "T_COMMAND, T_VERSION, T_SUBJECT"},
		{"another version", []string{"T_VERSION=2.0.0"}, nil, types.ErrVersionNotSupported, `"2.0.0"`},
		{"no reference", []string{"T_SUBJECT=A B"}, nil, types.ErrArgsParsingFailure, "is not an image reference"},
		{"long reference", []string{"T_SUBJECT=r.example/" + strings.Repeat("a", maxSubject)}, nil, types.ErrArgsParsingFailure, "1034 bytes"},
		{"no pair", []string{"T_ARGS=a"}, nil, types.ErrArgsParsingFailure, `"a"`},
		{"two signs", []string{"T_ARGS=a=b=c"}, nil, types.ErrArgsParsingFailure, `"a=b=c"`},
		{"twice", []string{"T_ARGS=a=1;a=2"}, nil, types.ErrArgsParsingFailure, "twice"},
		{"empty pair", []string{"T_ARGS=a=1;"}, nil, types.ErrArgsParsingFailure, `""`},
		{"broken input", nil, iotest.ErrReader(errors.New("broken pipe")), types.ErrIOFailure, "broken pipe"},
		{"endless input", nil, endless{}, types.ErrConfigParsingFailure, "more than 4194304 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			setCall(t, tt.env...)
			if tt.stdin == nil {
				tt.stdin = strings.NewReader("{}")
			}
			failsWith(t, echo, tt.stdin, tt.code, tt.says)
		})
	}
}

// An input that nobody ends is an error when the time of a call is up.
func TestInputThatHangs(t *testing.T) {
	setCall(t)
	synctest.Test(t, func(t *testing.T) {
		reader, writer := io.Pipe()
		defer writer.Close() // ends the reading
		start := time.Now()
		failsWith(t, echo, reader, types.ErrIOFailure, "it has not ended")
		if took := time.Since(start); took != timeout {
			t.Errorf("it took %v", took)
		}
	})
}

// endless is an input without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// failsWith checks that a call prints an error, on one line, and nothing else.
func failsWith(t *testing.T, handle Handler, stdin io.Reader, code uint, says string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	exit := spoken.run(handle, stdin, &stdout, &stderr)
	var printed plugin.Error
	decoder := json.NewDecoder(bytes.NewReader(stdout.Bytes()))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&printed); err != nil || exit != 1 || strings.Count(stdout.String(), "\n") != 1 {
		t.Fatalf("it ends with %d and prints %q: %v", exit, &stdout, err)
	}
	if printed.Code != code || !strings.Contains(printed.Error(), says) {
		t.Errorf("it prints %s; want code %d and %q", &stdout, code, says)
	}
}

func TestFailures(t *testing.T) {
	setCall(t)
	reply := func(text string) Handler {
		return func(context.Context, Call) ([]byte, error) { return []byte(text), nil }
	}
	fails := func(err error) Handler {
		return func(context.Context, Call) ([]byte, error) { return nil, err }
	}
	for _, tt := range []struct {
		name   string
		handle Handler
		code   uint
		says   string
	}{
		{"an error", fails(errors.New("the registry\nis down")), types.ErrPluginCmdFailure, "DO of r.example/app:v1 failed; the registry\nis down"},
		{"an error of the protocol", fails(plugin.NewError(types.ErrUnknownCommand, "unknown", "")), types.ErrUnknownCommand, "unknown"},
		{"no JSON", reply("\xd2\x84"), types.ErrPluginCmdFailure, "not one line of JSON"},
		{"no object", reply("[1]"), types.ErrPluginCmdFailure, "not one line of JSON"},
		{"nothing", reply(""), types.ErrPluginCmdFailure, "not one line of JSON"},
		{"several lines", reply("{\n}"), types.ErrPluginCmdFailure, "not one line of JSON"},
		{"two objects", reply("{}{}"), types.ErrPluginCmdFailure, "not one line of JSON"},
		{"a long line", reply(`{"a":"` + strings.Repeat("a", maxLine) + `"}`), types.ErrPluginCmdFailure, "the 65544 bytes"},
		{"a panic", func(context.Context, Call) ([]byte, error) { panic("nil map") }, types.ErrInternalFailure, "ended in a panic; nil map"},
		{"what is no JSON value", func(context.Context, Call) ([]byte, error) { return Encode(func() {}) }, types.ErrInternalFailure, "cannot be encoded"},
	} {
		t.Run(tt.name, func(t *testing.T) { failsWith(t, tt.handle, strings.NewReader(""), tt.code, tt.says) })
	}
}

// The longest reply is one that Ratify's scanner of lines still reads.
func TestLongestReply(t *testing.T) {
	setCall(t)
	var stdout bytes.Buffer
	text := `{"a":"` + strings.Repeat("a", maxLine-1-len(`{"a":""}`)) + `"}`
	if code := spoken.run(func(context.Context, Call) ([]byte, error) { return []byte(text), nil }, strings.NewReader(""), &stdout, io.Discard); code != 0 {
		t.Fatalf("it prints %s", &stdout)
	}
	executor := plugin.DefaultExecutor{}
	path := writeScript(t, "printf '%s' '"+text+"'")
	if out, err := executor.ExecutePlugin(t.Context(), path, nil, nil, nil); err != nil || string(out) != text {
		t.Errorf("Ratify reads %d bytes of %d: %v", len(out), len(text), err)
	}
	path = writeScript(t, "printf '%s' '"+text[:len(text)-2]+"a\"}'")
	if out, err := executor.ExecutePlugin(t.Context(), path, nil, nil, nil); err != nil || len(out) > 0 {
		t.Errorf("Ratify reads %d bytes of a line that is one longer: %v", len(out), err)
	}
}

// Loggers write what Ratify takes for log, however much it looks like a reply.
func TestLog(t *testing.T) {
	setCall(t)
	var stdout, stderr bytes.Buffer
	spoken.run(func(ctx context.Context, call Call) ([]byte, error) {
		slog.Info("not told")
		slog.Warn(`{"isSuccess":true}`, "error", errors.New("two\nlines"))
		logrus.Info("not told")
		logrus.Warn("{}")
		log.Print("{}")
		return echo(ctx, call)
	}, strings.NewReader(""), &stdout, &stderr)
	const want = `WARN: msg="(\"isSuccess\":true)" error="two\nlines"` + "\n" + `warning: msg="()"` + "\n" + "()\n"
	if stderr.String() != want {
		t.Errorf("the log is %q, want %q", &stderr, want)
	}
}

// A line of log that Ratify's scanner could not read would take the reply behind it along.
func TestLongLog(t *testing.T) {
	setCall(t)
	var stdout, stderr bytes.Buffer
	spoken.run(func(ctx context.Context, call Call) ([]byte, error) {
		slog.Warn("é" + strings.Repeat("é", maxLine))
		return echo(ctx, call)
	}, strings.NewReader("{}"), &stdout, &stderr)
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(dir+"/stdout", stdout.Bytes(), 0o600), os.WriteFile(dir+"/stderr", stderr.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	executor := plugin.DefaultExecutor{}
	out, err := executor.ExecutePlugin(t.Context(), writeScript(t, "cat '"+dir+"/stderr' >&2; cat '"+dir+"/stdout'"), nil, nil, os.Environ())
	if err != nil || !bytes.Equal(append(out, '\n'), stdout.Bytes()) {
		t.Errorf("Ratify reads %q of %q, %v", out, &stdout, err)
	}
	if text := stderr.String(); !strings.HasPrefix(text, "WARN: msg=") || !strings.HasSuffix(text, "é…\n") || !utf8.ValidString(text) {
		t.Errorf("the log is %.40q", text)
	}
}

func TestClosedOutput(t *testing.T) {
	setCall(t)
	var stderr bytes.Buffer
	reader, writer := io.Pipe()
	_ = reader.Close()
	if code := spoken.run(echo, strings.NewReader(""), writer, &stderr); code != 1 || !strings.Contains(stderr.String(), "ERROR: ") {
		t.Errorf("it ends with %d and logs %s", code, &stderr)
	}
}

// Whatever comes in, one JSON object on one line comes out.
func FuzzCall(f *testing.F) {
	f.Add("DO", "1.0.0", "r.example/app:v1", "digest=sha256:00;b=", []byte("{}"))
	f.Add("", "", "", ";;==", []byte{})
	f.Fuzz(func(t *testing.T, command, version, subject, args string, input []byte) {
		if strings.ContainsRune(command+version+subject+args, 0) {
			t.Skip("no environment variable can have that")
		}
		t.Setenv("T_COMMAND", command)
		t.Setenv("T_VERSION", version)
		t.Setenv("T_SUBJECT", subject)
		t.Setenv("T_ARGS", args)
		var stdout bytes.Buffer
		code := spoken.run(echo, bytes.NewReader(input), &stdout, io.Discard)
		var object map[string]any
		if err := json.Unmarshal(stdout.Bytes(), &object); err != nil || strings.Count(stdout.String(), "\n") != 1 || code > 1 {
			t.Errorf("it ends with %d and prints %q: %v", code, &stdout, err)
		}
	})
}
