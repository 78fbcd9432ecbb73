package pemfile

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

const (
	beginMark = "-----BEGIN "
	endMark   = "-----END "
	tailMark  = "-----"
)

// eachBlock calls use with every block of text, in order, and stops at the first error, which it wraps with the block's position.
func eachBlock(text []byte, use func(kind string, der []byte) error) error {
	if len(text) > MaxBytes {
		return fmt.Errorf("text is longer than %d bytes", MaxBytes)
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // Windows editors put a byte order mark in front
	var (
		blocks int      // begun so far
		begun  int      // line of the open block's BEGIN, 0 when none is open
		kind   string   // of the open block
		lines  []string // of the open block, without indentation
	)
	fail := func(line int, err error) error { return &BlockError{Block: max(blocks, 1), Line: line, Err: err} }

	newlines := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	number := 0
	for line := range strings.SplitSeq(newlines.Replace(string(text)), "\n") {
		number++
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, beginMark):
			if begun > 0 {
				return fail(begun, fmt.Errorf("no END line before the next block begins in line %d", number))
			}
			if blocks++; blocks > MaxBlocks {
				return fmt.Errorf("more than %d PEM blocks", MaxBlocks)
			}
			var ok bool
			if kind, ok = strings.CutSuffix(line[len(beginMark):], tailMark); !ok || strings.Contains(kind, "--") {
				return fail(number, errors.New("the BEGIN line does not end after its second -----; have line breaks been lost?"))
			}
			begun, lines = number, append(lines[:0], line)
		case strings.HasPrefix(line, endMark):
			if begun == 0 {
				return fail(number, errors.New("an END line without its BEGIN line"))
			}
			if line != endMark+kind+tailMark {
				return fail(begun, fmt.Errorf("BEGIN %s is not ended by a line END %s of its own", kind, kind))
			}
			block, _ := pem.Decode([]byte(strings.Join(append(lines, line), "\n") + "\n"))
			if block == nil {
				return fail(begun, fmt.Errorf("the text between BEGIN %s and END %s is not base64", kind, kind))
			}
			if err := use(kind, block.Bytes); err != nil {
				return fail(begun, err)
			}
			begun = 0
		case begun > 0:
			lines = append(lines, line)
		case strings.Contains(line, beginMark) && !strings.HasPrefix(line, "#"): // a block may be commented out
			blocks++
			return fail(number, errors.New("-----BEGIN in the middle of a line; have line breaks been lost?"))
		}
	}
	if begun > 0 {
		return fail(begun, fmt.Errorf("no END %s line", kind))
	}
	if blocks == 0 {
		return ErrEmpty
	}
	return nil
}

// refuse explains why a block of this kind is not the one that is wanted.
func refuse(kind, wanted string) error {
	switch {
	case strings.HasSuffix(kind, "PRIVATE KEY"):
		return fmt.Errorf("a private key (%s) where %s is wanted; remove it, and treat it as disclosed: verifying needs public material only", kind, wanted)
	case strings.HasSuffix(kind, "CERTIFICATE REQUEST"):
		return fmt.Errorf("a certificate signing request (%s) where %s is wanted; use what the authority issued for it", kind, wanted)
	case strings.HasSuffix(kind, "CERTIFICATE"), strings.HasSuffix(kind, "PUBLIC KEY"):
		return fmt.Errorf("%s where %s is wanted", kind, wanted)
	}
	return fmt.Errorf("a block of kind %q where %s is wanted", kind, wanted)
}
