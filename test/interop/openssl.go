package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// openssl runs openssl commands in the row's folder, a line each.
func (e *environment) openssl(ctx context.Context, script string) error {
	for line := range strings.Lines(script) {
		if arguments := strings.Fields(line); len(arguments) > 0 {
			if _, err := e.command(ctx, e.podEnv(), "openssl", arguments...); err != nil {
				return err
			}
		}
	}
	return nil
}

// concatenate writes files, one after the other, to another, and returns its path: cat from… > to.
func (e *environment) concatenate(to string, from ...string) (string, error) {
	var content []byte
	for _, name := range from {
		part, err := os.ReadFile(filepath.Join(e.dir, name))
		if err != nil {
			return "", fmt.Errorf("make %s: %w", to, err)
		}
		content = append(content, part...)
	}
	return e.write(to, content)
}

// read returns a file of the row's folder.
func (e *environment) read(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(e.dir, name))
	return string(content), err
}
