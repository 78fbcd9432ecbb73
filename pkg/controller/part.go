package controller

import (
	"errors"
	"reflect"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
)

// A download that failed is tried again after firstRetry, then after twice that, up to lastRetry.
const (
	firstRetry = 30 * time.Second
	lastRetry  = 10 * time.Minute
)

// parts are what was made of resources.
type parts[T any] map[ID]part[T]

type part[T any] struct {
	uid  string // of the resource
	made T
	// usable says that there is made: of the resource as it is, or was when it could last be read.
	usable bool
	// spec is the last one that a part could be made of, if known, and basis what else this was made of.
	spec      spec
	known     bool
	basis     basis
	mandatory bool

	tried spec  // the resource as it is, if err is set
	err   error // why that cannot be read
	// again is when a download is tried again that failed, and wait how long that was; zero: with the next Build.
	again time.Time
	wait  time.Duration
}

// maker makes parts of the blocks of specs.
type maker[T any] func(s spec, block map[string]any) (made T, on basis, mandatory bool, err error)

// renew makes the part of a resource, or one of the last spec that could be read, and then says why it is not a new one. A part whose spec has not
// changed and whose basis holds is kept, the same one.
func (p parts[T]) renew(r resource, holds func(r resource, was basis, away bool) bool, make maker[T]) part[T] {
	last := p[r.ID]
	if last.uid != r.uid {
		last = part[T]{uid: r.uid} // what it was made of is deleted
	}
	before := resource{r.ID, r.uid, last.spec}
	keep := last.usable && holds(before, last.basis, errors.Is(last.err, config.ErrDownload))
	if keep && last.err == nil && reflect.DeepEqual(last.spec, r.spec) {
		return last
	}
	try := last.err == nil || !reflect.DeepEqual(last.tried, r.spec) || !time.Now().Before(last.again)
	if try {
		made, on, mandatory, err := make.of(r.spec)
		if err == nil {
			return part[T]{uid: r.uid, made: made, usable: true, spec: r.spec, known: true, basis: on, mandatory: mandatory}
		}
		last = last.failed(r, err)
		last.mandatory = last.mandatory || mandatory
		away := errors.Is(err, config.ErrDownload)
		// Otherwise the program that was downloaded may have taken the place of the last one's.
		keep = last.usable && (away || r.source() == nil) && holds(before, last.basis, away)
	}
	if keep {
		return last
	}
	last.usable = false
	if last.known && !reflect.DeepEqual(last.spec, r.spec) && (try || before.source() == nil) {
		var err error
		last.made, last.basis, _, err = make.of(last.spec)
		last.usable = err == nil
	}
	return last
}

// failed returns p with the reason why its resource cannot be read. Mistakes last until the resource, or what it names, changes. A registry that
// is away does not tell when it is back.
func (p part[T]) failed(r resource, err error) part[T] {
	wait := time.Duration(0)
	if errors.Is(err, config.ErrDownload) {
		wait = firstRetry
		if p.err != nil && reflect.DeepEqual(p.tried, r.spec) {
			wait = min(max(2*p.wait, firstRetry), lastRetry)
		}
	}
	p.tried, p.err, p.wait, p.again = r.spec, err, wait, time.Time{}
	if wait > 0 {
		p.again = time.Now().Add(wait)
	}
	return p
}

func (m maker[T]) of(s spec) (T, basis, bool, error) {
	block, err := s.block()
	if err != nil {
		var none T
		return none, basis{}, false, err
	}
	return m(s, block)
}
