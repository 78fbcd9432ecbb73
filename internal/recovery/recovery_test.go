package recovery

import (
	"errors"
	"testing"
)

func TestToError(t *testing.T) {
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		do   func() error
		want string
	}{
		"panic":    {func() error { panic("boom") }, "panic: boom; the log has the details"},
		"no panic": {func() error { return broken }, "broken"},
	} {
		run := func() (err error) {
			defer ToError(&err)
			return tt.do()
		}
		if err := run(); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
