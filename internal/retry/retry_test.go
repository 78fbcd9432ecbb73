package retry

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"
)

type failure struct {
	after   time.Duration
	passing bool
}

func (f failure) Error() string                  { return "failed" }
func (f failure) Passing() (time.Duration, bool) { return f.after, f.passing }

func TestDo(t *testing.T) {
	for name, tc := range map[string]struct {
		outcomes []error
		calls    int
		fails    bool
	}{
		"at once":       {outcomes: []error{nil}, calls: 1},
		"passing":       {outcomes: []error{failure{passing: true}, nil}, calls: 2},
		"as asked":      {outcomes: []error{failure{passing: true, after: time.Millisecond}, nil}, calls: 2},
		"for good":      {outcomes: []error{failure{}, nil}, calls: 1, fails: true},
		"unknown":       {outcomes: []error{errors.New("no"), nil}, calls: 1, fails: true},
		"too often":     {outcomes: []error{failure{passing: true}, failure{passing: true}, failure{passing: true}, nil}, calls: 3, fails: true},
		"past deadline": {outcomes: []error{failure{passing: true, after: time.Hour}, nil}, calls: 1, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			calls := 0
			_, err := Do(ctx, func(context.Context) (int, error) {
				calls++
				return 0, tc.outcomes[calls-1]
			})
			if calls != tc.calls || (err != nil) != tc.fails {
				t.Errorf("%d calls, error %v; want %d calls, failing %t", calls, err, tc.calls, tc.fails)
			}
		})
	}
}

func TestDoStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	_, err := Do(ctx, func(context.Context) (int, error) {
		calls++
		cancel()
		return 0, failure{passing: true, after: time.Hour}
	})
	if calls != 1 || !errors.As(err, new(failure)) {
		t.Errorf("%d calls, error %v; want 1 call and its error", calls, err)
	}
}

func TestAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                    0,
		"soon":                0,
		"-3":                  0,
		"7":                   7 * time.Second,
		"9223372036854775807": 24 * time.Hour,
		now.Add(time.Hour).Format(http.TimeFormat):  time.Hour,
		now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := After(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q: %s, want %s", value, got, want)
		}
	}
}
