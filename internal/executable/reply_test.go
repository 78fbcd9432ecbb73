package executable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestReply(t *testing.T) {
	for _, tt := range []struct {
		name, stdout, stderr string
		reply                string
		log                  []string
	}{
		{"alone", `{"a":1}`, "", `{"a":1}`, nil},
		{"with a log", "WARN: b\n" + `{"a":1}` + "\n", "INFO: a\r\n\n", `{"a":1}`, []string{"INFO: a", "WARN: b"}},
		{"on stderr", "done", `{"a":1}`, `{"a":1}`, []string{"done"}},
		{"text after it", `{"a":1} done`, "", `{"a":1}`, []string{"done"}},
		{"objects inside of lines", `{"a":1}`, `INFO: {"b":2}` + "\n{no object}", `{"a":1}`, []string{`INFO: {"b":2}`, "{no object}"}},
		{"other values", "[1]\n1\n\"{}\"\n" + `{"a":1}`, "", `{"a":1}`, []string{"[1]", "1", `"{}"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reply, log, err := Reply(Output{Stdout: []byte(tt.stdout), Stderr: []byte(tt.stderr)})
			if err != nil || string(reply) != tt.reply || !slices.Equal(log, tt.log) {
				t.Errorf("Reply() = %s, %q, %v", reply, log, err)
			}
		})
	}
}

func TestNoReply(t *testing.T) {
	for _, tt := range []struct{ name, stdout, stderr, says string }{
		{"nothing", "", "", "no JSON object; it printed nothing"},
		{"only a log", "", "level=error msg=lost", "it said: level=error msg=lost"},
		{"two", `{"a":1}` + "\n" + `{"a":2}`, "", `2 JSON objects where one is expected: {"a":1}, {"a":2}`},
		{"two on a line", `{"a":1}{"a":2}`, "", "2 JSON objects"},
		{"on both", `{"a":1}`, `{"a":2}`, "2 JSON objects"},
		{"cut off", `{"a":1`, "", "begins like a JSON object"},
		{"inner object of one that is spread over lines", "{\n\"inner\": [\n{\"isSuccess\":true}\n]}", "", "begins like a JSON object"},
		{"inner object of one on stderr that is spread over lines", "", "{\n\"inner\": [\n{\"isSuccess\":true}\n]}", "begins like a JSON object"},
		{"a list", `[{"a":1}]`, "", "no JSON object"},
		{"huge", `{"a":"` + strings.Repeat("x", maxReply) + `"}`, "", "4194312 bytes, and 4194304 are accepted"},
		{"nested too deep", strings.Repeat(`{"a":`, 20000) + strings.Repeat("}", 20000), "", "exceeded max depth"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reply, _, err := Reply(Output{Stdout: []byte(tt.stdout), Stderr: []byte(tt.stderr)})
			if reply != nil || !errors.Is(err, ErrNoReply) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Reply() = %s, %v; want an error that says %q", reply, err, tt.says)
			}
		})
	}
}

// TestCutLogHasNoReply shows that the rest of a line whose beginning was dropped is not taken for a line, whoever had a say in it.
func TestCutLogHasNoReply(t *testing.T) {
	const forged = `{"isSuccess":true}`
	stderr := &tail{limit: maxStderr}
	line := `{"isSuccess":false,"message":"` + strings.Repeat("x", maxStderr) + forged + strings.Repeat("x", maxStderr-len(forged)-2) + `"}`
	if _, err := stderr.Write([]byte(line)); err != nil {
		t.Fatal(err)
	}
	reply, _, err := Reply(Output{Stderr: stderr.Bytes()})
	if !errors.Is(err, ErrNoReply) {
		t.Errorf("Reply() = %s, %v", reply, err)
	}
}

// TestReplyIsFrugal shows that many lines or objects are not kept.
func TestReplyIsFrugal(t *testing.T) {
	for name, stdout := range map[string]string{
		"objects": strings.Repeat("{}", 1<<16),
		"lines":   strings.Repeat("line\n", 1<<10) + `{"a":1}`,
	} {
		var log []string
		if n := testing.AllocsPerRun(1, func() { _, log, _ = Reply(Output{Stdout: []byte(stdout)}) }); n > 1<<15 || len(log) > 2*maxLines {
			t.Errorf("%s: %.0f allocations, %d lines", name, n, len(log))
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add([]byte(`{"a":1}`+"\nINFO: done"), []byte("level=info"))
	f.Add([]byte("{\n}"), []byte("\xff\x1b[1m"))
	f.Fuzz(func(t *testing.T, stdout, stderr []byte) {
		reply, _, err := Reply(Output{Stdout: stdout, Stderr: stderr})
		if (err == nil) != (reply != nil) || reply != nil && (reply[0] != '{' || !json.Valid(reply)) {
			t.Errorf("Reply() = %q, %v", reply, err)
		}
		if err == nil && !bytes.Contains(append(append(stdout, '\n'), stderr...), reply) {
			t.Errorf("%q was not printed", reply)
		}
	})
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"a\n\t b\x00c\r\n":       "a b c",
		"\x1b[31;1mred\x1b[0m !": "red !",
		`Get "https://b.example/x?Signature=s3cret&Expires=1": EOF`:   `Get "https://b.example/x": EOF`,
		`invalid proxy address "HTTP://me:s3cret@p:%1/": HTTP://p/?a`: `invalid proxy address "HTTP://p:%1/": HTTP://p/`,
		strings.Repeat("ä", maxText):                                  strings.Repeat("ä", maxText/2) + "…",
		"\xff":                                                        "\uFFFD",
	} {
		if got := Clean(text); got != want {
			t.Errorf("Clean(%.40q) = %.40q, want %.40q", text, got, want)
		}
	}
}

func TestSaidEndsWithTheEnd(t *testing.T) {
	o := Output{Stderr: []byte("https://b.example/x?Signature=" + strings.Repeat("s3cret", maxText)), Stdout: []byte(`{"msg": "why"}`)}
	if got := said(o); got != `said: https://b.example/x {"msg": "why"}` {
		t.Errorf("said() = %q", got)
	}
	o = Output{Stderr: []byte("the beginning"), Stdout: []byte(strings.Repeat("x", 2*maxText) + "the end")}
	if got := said(o); len(got) > maxText+len("said: …") || !strings.HasPrefix(got, "said: …x") || !strings.HasSuffix(got, "xthe end") {
		t.Errorf("said() = %q", got)
	}
}

func TestLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	lines := []string{"WARN: mind", "debug: looking", `time="t" level=error msg="lost"`, "information", "Info: known", "\x1b[1mplain"}
	Log(t.Context(), log, "sbom", lines)
	want := `level=WARN msg=mind plugin=sbom
level=DEBUG msg=looking plugin=sbom
level=ERROR msg="time=\"t\" level=error msg=\"lost\"" plugin=sbom
level=INFO msg=information plugin=sbom
level=INFO msg=known plugin=sbom
level=INFO msg=plain plugin=sbom
`
	if out.String() != want {
		t.Errorf("logged\n%swant\n%s", out.String(), want)
	}
	out.Reset()
	lines = lines[:0]
	for i := range 2 * maxLines {
		lines = append(lines, fmt.Sprint("line ", i))
	}
	Log(t.Context(), log, "sbom", lines)
	if n := strings.Count(out.String(), "\n"); n != maxLines+1 || !strings.Contains(out.String(), fmt.Sprint("line ", 2*maxLines-1)) {
		t.Errorf("%d lines:\n%s", n, out.String())
	}
}
