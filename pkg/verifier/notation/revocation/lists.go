package revocation

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/notaryproject/notation-core-go/revocation/crl"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

// lists fetches revocation lists, each once at a time, and keeps them. It implements crl.Fetcher.
type lists struct {
	http   *crl.HTTPFetcher
	calls  *flight.Group[*crl.Bundle]
	memory *memory
	disk   *disk // nil: there is none
	now    func() time.Time
	log    *slog.Logger
}

func newLists(client *http.Client, d *disk, now func() time.Time, log *slog.Logger) (*lists, error) {
	fetcher, err := crl.NewHTTPFetcher(client)
	if err != nil {
		return nil, err
	}
	return &lists{fetcher, flight.New[*crl.Bundle](listTimeout), newMemory(), d, now, log}, nil
}

// Fetch returns the revocation list at url, for the chain that ctx knows of. One that is held is returned at once, and renewed in the
// background if it is time for that.
func (l *lists) Fetch(ctx context.Context, url string) (*crl.Bundle, error) {
	inquiry := inquiryOf(ctx)
	inquiry.ask()
	issuers := issuersOf(ctx, url)
	for _, issuer := range issuers {
		key := keyOf(url, issuer)
		held, renew := l.memory.get(key, l.now())
		if renew {
			go l.renew(flight.Detach(ctx), key, issuer)
		}
		if held.bundle != nil {
			l.relyOn(inquiry, key, held.version)
			return held.bundle, nil
		}
	}
	ctx, cancel := withShare(ctx, listShare, listTimeout)
	defer cancel()
	err := errors.New("no certificate of the chain names it")
	for _, issuer := range issuers {
		var bundle *crl.Bundle
		key := keyOf(url, issuer)
		if bundle, err = l.load(ctx, key, issuer); err == nil {
			l.relyOn(inquiry, key, l.memory.versionOf(key, bundle))
			return bundle, nil
		}
	}
	return nil, err
}

// relyOn notes that an inquiry uses a list, if that is held.
func (l *lists) relyOn(i *inquiry, key listKey, version uint64) {
	if version != 0 && len(key.url) <= maxGroundURL {
		i.rely(listGround{l, key, version})
	}
}

// load returns a list that is not held yet: as it was prefetched, from the disk, or else from its address. An issuer of nil is not known yet.
func (l *lists) load(ctx context.Context, key listKey, issuer *x509.Certificate) (*crl.Bundle, error) {
	return l.calls.Do(ctx, key.String(), func(ctx context.Context) (*crl.Bundle, error) {
		now := l.now()
		if held, _ := l.memory.get(key, now); held.bundle != nil {
			return held.bundle, nil // another call, which has just ended, brought it
		}
		unsigned := listKey{url: key.url}
		if held, _ := l.memory.get(unsigned, now); held.bundle != nil && check(held.bundle, issuer, now) == nil {
			l.memory.remove(unsigned)
			return l.memory.put(key, held.bundle, issuer, dueAt(held.bundle, now)), nil
		}
		if bundle := l.disk.get(ctx, key.url); bundle != nil && l.memory.fits(bundle) && check(bundle, issuer, now) == nil {
			return l.memory.put(key, bundle, issuer, now), nil // nobody knows how long it has been there
		}
		return l.fetch(ctx, key, issuer)
	})
}

// renew replaces a list that is held, or says in the log why it cannot.
func (l *lists) renew(ctx context.Context, key listKey, issuer *x509.Certificate) {
	_, err := l.calls.Do(ctx, key.String(), func(ctx context.Context) (*crl.Bundle, error) { return l.fetch(ctx, key, issuer) })
	if err == nil || ctx.Err() != nil {
		return
	}
	l.log.Warn("revocation list cannot be renewed; the one held is used until it ends", "url", key.url, "retry", retryAfter, "error", err)
}

// fetch gets a list from its address and keeps it, if it is signed by issuer and in date.
func (l *lists) fetch(ctx context.Context, key listKey, issuer *x509.Certificate) (*crl.Bundle, error) {
	bundle, err := l.http.Fetch(ctx, key.url)
	if err != nil {
		return nil, err
	}
	now := l.now()
	if err := check(bundle, issuer, now); err != nil {
		return nil, fmt.Errorf("%s: %w", key.url, err)
	}
	used := l.memory.put(key, bundle, issuer, dueAt(bundle, now))
	if used != bundle {
		l.log.Warn("revocation list is older than the one held, which stays", "url", key.url,
			"thisUpdate", bundle.BaseCRL.ThisUpdate, "held", used.BaseCRL.ThisUpdate)
		return used, nil
	}
	if issuer != nil {
		l.disk.set(ctx, key.url, bundle)
	}
	return bundle, nil
}

// check is checkBundle, as far as it can be done without the authority's certificate if that is nil.
func check(b *crl.Bundle, issuer *x509.Certificate, now time.Time) error {
	if issuer != nil {
		return checkBundle(b, issuer, now)
	}
	if b.DeltaCRL != nil {
		if err := inDate(b.DeltaCRL, now); err != nil {
			return err
		}
	}
	return inDate(b.BaseCRL, now)
}
