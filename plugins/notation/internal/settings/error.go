package settings

import (
	"errors"
	"fmt"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
)

// ErrNoCredentials is wrapped by errors of calls for which there are no credentials.
var ErrNoCredentials = errors.New("no credentials for KMS")

// Error says which environment variable or key of --plugin-config cannot be used, and why. It never holds the value of a secret.
type Error struct {
	Name string // such as ALIBABA_CLOUD_KMS_PASSWORD, or "plugin-config timeout"
	Err  error
}

func (e *Error) Error() string { return e.Name + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func errorf(name, format string, args ...any) error {
	return &Error{Name: name, Err: fmt.Errorf(format, args...)}
}

// Key names a key of --plugin-config in errors.
func Key(key string) string { return "plugin-config " + key }

// named turns an error about a parameter of a client into one about where the parameter's value is from.
func (s *Settings) named(err error) error {
	mistake, ok := errors.AsType[*parameter.Error](err)
	if !ok {
		return err
	}
	names := map[string]string{
		"endpoint": s.endpointFrom, "region": s.regionFrom, "network": Key(keyNetwork),
		"caBundle": EnvCAFile, "clientKey": EnvClientKeyFile, "password": EnvPassword,
	}
	if name := names[mistake.Field]; name != "" {
		return &Error{Name: name, Err: mistake.Err}
	}
	return &Error{Name: mistake.Field, Err: mistake.Err}
}
