package acr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/spelling"
)

// ConfigError is a mistake in a Config.
type ConfigError struct {
	Field string // path of the field, such as acrInstancesConfig[1].instanceId
	Err   error
}

func (e *ConfigError) Error() string { return e.Field + ": " + e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

func wrong(field, format string, args ...any) error {
	return &ConfigError{Field: field, Err: fmt.Errorf(format, args...)}
}

// ParseConfig reads a Config from what YAML or JSON became. Keys are matched regardless of case, as Ratify does; a key that is
// unknown or there twice is an error, and so is a value of another type. Errors are *ConfigError, and show no values of credentials.
func ParseConfig(raw map[string]any) (Config, error) {
	var c Config
	content, err := json.Marshal(raw)
	if err != nil {
		return c, fmt.Errorf("configuration is not plain data: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var plain map[string]any
	if err := decoder.Decode(&plain); err != nil {
		return c, fmt.Errorf("configuration is not plain data: %w", err)
	}
	if err := decode("", plain, reflect.ValueOf(&c).Elem()); err != nil {
		return Config{}, err
	}
	return c, c.check()
}

// decode sets into from value. Null leaves it as it is: that is what "key:" without a value means in YAML.
func decode(path string, value any, into reflect.Value) error {
	if value == nil {
		return nil
	}
	switch target := into.Addr().Interface().(type) {
	case *time.Duration:
		d, err := time.ParseDuration(fmt.Sprint(value))
		if err != nil {
			return wrong(path, `want a duration with its unit, such as "5s"; got %v`, value)
		}
		*target = d
		return nil
	case *Instance:
		value = withName(value)
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return decode(path, value, into.Elem())
	case reflect.Struct:
		m, ok := value.(map[string]any)
		if !ok {
			return wrong(path, "want keys and values, got %s", kind(value))
		}
		return decodeStruct(path, m, into)
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			return wrong(path, "want a list, got %s", kind(value))
		}
		into.Set(reflect.MakeSlice(into.Type(), len(list), len(list)))
		for i, element := range list {
			if err := decode(indexed(path, i), element, into.Index(i)); err != nil {
				return err
			}
		}
		return nil
	case reflect.Bool:
		switch value {
		case true, "true": // charts quote
			into.SetBool(true)
		case false, "false":
			into.SetBool(false)
		default:
			return wrong(path, "want true or false, got %s", kind(value))
		}
		return nil
	default:
		s, ok := value.(string)
		if !ok {
			return wrong(path, "want text, got %s; put it in quotes", kind(value))
		}
		into.SetString(s)
		return nil
	}
}

func decodeStruct(path string, m map[string]any, into reflect.Value) error {
	fields := make(map[string]int)
	for i := range into.NumField() {
		if tag := into.Type().Field(i).Tag.Get("json"); tag != "" {
			fields[tag] = i
		}
	}
	seen := make(map[string]bool)
	for _, key := range slices.Sorted(maps.Keys(m)) {
		known := spelling.Nearest(key, slices.Collect(maps.Keys(fields)))
		at := join(path, key)
		switch {
		case known == "":
			return wrong(at, "unknown key; known are %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		case !strings.EqualFold(known, key):
			return wrong(at, "unknown key; did you mean %s?", known)
		case seen[known]:
			return wrong(at, "the key is there twice")
		}
		seen[known] = true
		if err := decode(join(path, known), m[key], into.Field(fields[known])); err != nil {
			return err
		}
	}
	return nil
}

// withName reads "- name1: cri-…", which a page of Alibaba Cloud's marketplace shows, as what it means: an instance's name and ID.
func withName(value any) any {
	m, ok := value.(map[string]any)
	if !ok || len(m) != 1 {
		return value
	}
	for name, id := range m {
		text, isText := id.(string)
		t := reflect.TypeFor[Instance]()
		var keys []string
		for i := range t.NumField() {
			keys = append(keys, t.Field(i).Tag.Get("json"))
		}
		if isText && instanceID.MatchString(text) && spelling.Nearest(name, keys) == "" {
			return map[string]any{"instanceName": name, "instanceId": text}
		}
	}
	return value
}

func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// kind names the type of a value without showing it.
func kind(value any) string {
	switch value.(type) {
	case string:
		return "text"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	default:
		return "keys and values"
	}
}

var errEmpty = errors.New("must not be empty")
