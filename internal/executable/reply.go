package executable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNoReply says that the output does not hold exactly one reply.
var ErrNoReply = errors.New("gave no reply that can be understood")

// maxReply bounds a reply, as manifests and lists of a registry are bounded elsewhere: what is decoded takes many times its room.
const maxReply = 4 << 20

// Reply takes the output of a program apart: into its reply, the one JSON object that begins a line, and the last lines of its log. As with
// Ratify, the reply may be on either stream. If there are several objects, or a line of stdout, or of the reply's stream, begins like one and
// is none, it is open what the reply is: that is an ErrNoReply.
func Reply(o Output) (reply json.RawMessage, log []string, err error) {
	for _, stream := range []struct {
		content []byte
		strict  bool
	}{{o.Stderr, false}, {o.Stdout, true}} {
		var broken error
		first := reply == nil
		for line := range bytes.Lines(stream.content) {
			for line = bytes.TrimSpace(line); len(line) > 0; {
				object, rest, err := cutObject(line)
				if err != nil {
					if line[0] == '{' && broken == nil {
						broken = fmt.Errorf("%w: a line begins like a JSON object and is none: %w: %s", ErrNoReply, err, Clean(string(line)))
					}
					if log = append(log, string(line)); len(log) > 2*maxLines {
						log = append(log[:0], log[maxLines:]...) // Log writes no more, and lines may be millions
					}
					break
				}
				if reply != nil {
					return nil, nil, fmt.Errorf("%w: 2 JSON objects where one is expected: %s, %s", ErrNoReply, Clean(string(reply)), Clean(string(object)))
				}
				reply, line = object, rest
			}
		}
		if broken != nil && (stream.strict || first && reply != nil) {
			return nil, nil, broken
		}
	}
	switch {
	case reply == nil:
		return nil, nil, fmt.Errorf("%w: no JSON object; it %s", ErrNoReply, said(o))
	case len(reply) > maxReply:
		return nil, nil, fmt.Errorf("%w: it has %d bytes, and %d are accepted", ErrNoReply, len(reply), maxReply)
	}
	return reply, log, nil
}

// cutObject returns the JSON object with which line begins, and what follows.
func cutObject(line []byte) (object json.RawMessage, rest []byte, err error) {
	if line[0] != '{' {
		return nil, nil, errors.New("not an object")
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	if err := decoder.Decode(&object); err != nil {
		return nil, nil, err
	}
	return object, bytes.TrimSpace(line[decoder.InputOffset():]), nil
}
