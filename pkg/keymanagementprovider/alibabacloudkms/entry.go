package alibabacloudkms

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"golang.org/x/sync/errgroup"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/recovery"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
)

// maxReads bounds the entries that are read at once. Many more calls at a time would only be throttled.
const maxReads = 8

// errUnfit is wrapped by the error of what KMS has, and what no signature can be verified with.
var errUnfit = errors.New("cannot be trusted for signatures")

// definitive tells whether err is an answer, which counts from now on: there is nothing to be trusted. Other errors leave that open.
func definitive(err error) bool {
	return errors.Is(err, kms.ErrNotFound) || errors.Is(err, kms.ErrUnusable) || errors.Is(err, errUnfit)
}

// version is one version of a secret or a key. V is a chain of certificates, or a public key.
type version[V any] struct {
	id       string
	material V
	details  map[string]any // for the status
}

// entry is one entry of the configuration, and what KMS said of it last.
type entry[V any] struct {
	label   string // for errors and logs
	name    string // of the secret or key, as the configuration has it
	version string // its ID, if the configuration has one
	stage   string // of the version, if the configuration has one
	read    func(context.Context) ([]version[V], error)

	answered time.Time // when versions and dropped were read; zero: not yet
	versions []version[V]
	dropped  error // why there are no versions

	failing time.Time // when reading it failed for the first time since it succeeded; zero: it did not
	failure error     // why
}

// entries are all of one kind.
type entries[V any] []*entry[V]

// outcome is that of reading an entry.
type outcome[V any] struct {
	versions []version[V]
	err      error
}

// read reads all entries, and changes none.
func (es entries[V]) read(ctx context.Context) []outcome[V] {
	outcomes := make([]outcome[V], len(es))
	var group errgroup.Group
	group.SetLimit(maxReads)
	for i, e := range es {
		group.Go(func() error {
			defer recovery.ToError(&outcomes[i].err)
			versions, err := e.read(ctx)
			outcomes[i] = outcome[V]{versions, err}
			return nil // each entry's error is its own
		})
	}
	_ = group.Wait()
	return outcomes
}

// settle takes over what was read. The error is of the entries that have never been read.
func (es entries[V]) settle(outcomes []outcome[V], now time.Time, log *slog.Logger) error {
	var errs []error
	for i, e := range es {
		versions, err := outcomes[i].versions, outcomes[i].err
		switch {
		case err == nil:
			e.answered, e.versions, e.dropped = now, versions, nil
			e.failing, e.failure = time.Time{}, nil
		case definitive(err):
			switch {
			case len(e.versions) > 0:
				log.Warn("what was trusted is not any more", "entry", e.label, "reason", err)
			case e.dropped == nil && e.stage == kms.StagePrevious:
				log.Info("there is no former version yet", "entry", e.label, "reason", err)
			case e.dropped == nil:
				log.Warn("nothing there to be trusted", "entry", e.label, "reason", err)
			}
			e.answered, e.versions, e.dropped = now, nil, err
			e.failing, e.failure = time.Time{}, nil
		case e.answered.IsZero():
			errs = append(errs, fmt.Errorf("%s: %w", e.label, err))
		default:
			if e.failure == nil {
				e.failing = now
			}
			e.failure = err
		}
	}
	return joined(errs)
}

// material returns what is trusted.
func (es entries[V]) material() map[keymanagementprovider.KMPMapKey]V {
	held := make(map[keymanagementprovider.KMPMapKey]V)
	for _, e := range es {
		for _, v := range e.versions {
			// Enabled is left out: verifiers look keys up by name and version alone, and what is not enabled is not here.
			held[keymanagementprovider.KMPMapKey{Name: e.name, Version: v.id}] = v.material
		}
	}
	return held
}

// degraded tells since when entries could not be read, and why; a nil error: all could.
func (es entries[V]) degraded() (since time.Time, err error) {
	var errs []error
	for _, e := range es {
		if e.failure == nil {
			continue
		}
		if since.IsZero() || e.failing.Before(since) {
			since = e.failing
		}
		errs = append(errs, fmt.Errorf("%s: %w", e.label, e.failure))
	}
	return since, joined(errs)
}

// reasons returns why nothing is trusted.
func (es entries[V]) reasons() []error {
	var errs []error
	for _, e := range es {
		if e.dropped != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.label, e.dropped))
		}
	}
	return errs
}

// maxJoined bounds the errors in one text. When so many entries fail, the reason is mostly the same; the status has each.
const maxJoined = 5

// joined returns errs as one error of one line; nil if there are none.
func joined(errs []error) error {
	var all error
	for i, err := range errs {
		switch i {
		case 0:
			all = err
		case maxJoined:
			return fmt.Errorf("%w; and %d more", all, len(errs)-maxJoined)
		default:
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return all
}
