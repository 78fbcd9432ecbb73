package executable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNoReply says that the output does not hold exactly one reply.
var ErrNoReply = errors.New("gave no reply that can be understood")

// Reply takes the output of a program apart: into its reply, the one JSON object that begins a line, and the lines of its log. As with Ratify,
// the reply may be on either stream. If there are several objects, or a line of stdout begins like one and is none, it is open what the
// reply is: that is an ErrNoReply.
func Reply(o Output) (reply json.RawMessage, log []string, err error) {
	var objects []json.RawMessage
	for _, stream := range []struct {
		content []byte
		strict  bool
	}{{o.Stderr, false}, {o.Stdout, true}} {
		for line := range bytes.Lines(stream.content) {
			for line = bytes.TrimSpace(line); len(line) > 0; {
				object, rest, err := cutObject(line)
				if err != nil && line[0] == '{' && stream.strict {
					return nil, nil, fmt.Errorf("%w: a line begins like a JSON object and is none: %w: %s", ErrNoReply, err, Clean(string(line)))
				}
				if err != nil {
					log = append(log, string(line))
					break
				}
				objects, line = append(objects, object), rest
			}
		}
	}
	switch len(objects) {
	case 0:
		return nil, nil, fmt.Errorf("%w: no JSON object; it %s", ErrNoReply, said(o))
	case 1:
		return objects[0], log, nil
	}
	return nil, nil, fmt.Errorf("%w: %d JSON objects where one is expected: %s, %s", ErrNoReply, len(objects),
		Clean(string(objects[0])), Clean(string(objects[1])))
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
