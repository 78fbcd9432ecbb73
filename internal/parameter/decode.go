// Package parameter reads the parameters of plugins, and says which of them is wrong.
package parameter

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/spelling"
)

// Error says which parameter cannot be used, and why. Only a change of the configuration, or of what it names, helps.
type Error struct {
	Field string // path of the parameter, such as trustPolicies[0].keys[1].provider
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("parameter %s: %v", e.Field, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an *Error about the parameter at a path.
func Errorf(field, format string, args ...any) error {
	return &Error{Field: field, Err: fmt.Errorf(format, args...)}
}

// Decode decodes raw, the value of field, into target, and names the field of a mistake inside. The empty field stands for all parameters.
// Keys match without regard to case, as Ratify's do, but none may be unknown: a misspelt one would silently mean something else.
func Decode(field string, raw []byte, target any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(target)
	if err == nil {
		return nil
	}
	if mistake, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return Errorf(within(field, mistake.Field), "is a JSON %s where %s is expected", mistake.Value, describe(mistake.Type))
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		return Errorf(within(field, name), "is unknown%s", suggest(name, target))
	}
	return Errorf(within(field, ""), "%w", err)
}

// within returns the path of a field of another one.
func within(field, inner string) string {
	switch {
	case field == "" && inner == "":
		return "parameters"
	case field == "":
		return inner
	case inner == "":
		return field
	}
	return field + "." + inner
}

// suggest words which field of target an unknown one may mean, if target is a pointer to a struct and not one with structs inside, of
// which the field may be.
func suggest(name string, target any) string {
	kind := reflect.TypeOf(target).Elem()
	if kind.Kind() != reflect.Struct {
		return ""
	}
	var known []string
	for field := range kind.Fields() {
		if field.Type.Kind() == reflect.Struct {
			return ""
		}
		if tag, _, _ := strings.Cut(field.Tag.Get("json"), ","); tag != "" {
			known = append(known, tag)
		}
	}
	if nearest := spelling.Nearest(name, known); nearest != "" {
		return fmt.Sprintf("; did you mean %s?", nearest)
	}
	return "; known are " + strings.Join(known, ", ")
}

// describe puts the Go types of configurations into words.
func describe(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Bool:
		return "true or false"
	}
	return "a string"
}
