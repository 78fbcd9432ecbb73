package revocation

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/purpose"
	"golang.org/x/sync/semaphore"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

const (
	// fetchers bounds the lists that are fetched ahead at the same time, by all calls of Prefetch together, and those that Run renews.
	fetchers = 4

	// prefetchTimeout bounds one call of Prefetch: tenants name lists, too, and servers that hang must not pile up calls.
	prefetchTimeout = time.Minute

	// checkEvery is how often Run looks for lists that are to be renewed.
	checkEvery = time.Minute
)

// Options are what a Checker needs. The zero value is usable.
type Options struct {
	// Directory keeps revocation lists on disk, too, in the format of notation-go; others may use it at the same time. Empty: only in memory.
	Directory string

	// HTTPClient asks responders. Nil: one that connects to no instance services. Its time-out does not count: there are others.
	HTTPClient *http.Client

	// Now is the clock by which lists and answers are renewed. Nil: time.Now.
	Now func() time.Time

	// Log receives warnings about lists that cannot be fetched or kept. Nil: slog.Default().
	Log *slog.Logger
}

// Checker finds out whether certificates are revoked, and remembers what it learns for all who use it. It is safe for concurrent use.
type Checker struct {
	signing, timestamping revocation.Validator
	lists                 *lists
	findings              *findings
	prefetches            *semaphore.Weighted
}

// New returns a Checker.
func New(o Options) (*Checker, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	log := cmp.Or(o.Log, slog.Default())
	if o.HTTPClient == nil {
		o.HTTPClient = defaultClient()
	}
	client := limited(o.HTTPClient)
	var kept *disk
	if o.Directory != "" {
		kept = newDisk(o.Directory, log)
	}
	lists, err := newLists(client, kept, o.Now, log)
	if err != nil {
		return nil, fmt.Errorf("revocation lists: %w", err)
	}
	answers, err := newAnswers(client.Transport, o.Now)
	if err != nil {
		return nil, fmt.Errorf("OCSP: %w", err)
	}
	ocspClient := *client
	ocspClient.Transport = answers
	findings, err := newFindings()
	if err != nil {
		return nil, err
	}
	c := &Checker{lists: lists, findings: findings, prefetches: semaphore.NewWeighted(fetchers)}
	for to, use := range map[*revocation.Validator]purpose.Purpose{&c.signing: purpose.CodeSigning, &c.timestamping: purpose.Timestamping} {
		inner, err := revocation.NewWithOptions(revocation.Options{OCSPHTTPClient: &ocspClient, CRLFetcher: lists, CertChainPurpose: use})
		if err != nil {
			return nil, err
		}
		*to = validator{inner, use, findings}
	}
	return c, nil
}

// Signing returns the check of the certificates of signers.
func (c *Checker) Signing() revocation.Validator { return c.signing }

// Timestamping returns the check of the certificates of timestamping authorities.
func (c *Checker) Timestamping() revocation.Validator { return c.timestamping }

// Good reports whether the answer to a question was, and still is, that no certificate is revoked. It is no when that would have to be found
// out again, by a check; nobody is asked for it here, except that what is due is renewed in the background.
func (c *Checker) Good(ctx context.Context, question Question) bool {
	return c.findings.get(ctx, question) != nil
}

// Prefetch fetches, in the background and for a minute at most, the revocation lists that certs name and that are not held yet. What fails is
// logged, and fetched again when it is needed; so is what is beyond the first maxLists certificates that name any.
func (c *Checker) Prefetch(ctx context.Context, certs []*x509.Certificate) {
	if !slices.ContainsFunc(certs, func(cert *x509.Certificate) bool { return len(cert.CRLDistributionPoints) > 0 }) {
		return
	}
	ctx, cancel := context.WithTimeout(flight.Detach(ctx), prefetchTimeout)
	go func() {
		defer cancel()
		each(ctx, c.prefetches, listsOf(ctx, certs), func(ctx context.Context, key listKey, issuer *x509.Certificate) {
			if _, err := c.lists.load(ctx, key, issuer); err != nil {
				c.lists.log.Warn("revocation list cannot be fetched ahead; it is tried again when it is needed", "url", key.url, "error", err)
			}
		})
	}()
}

// listsOf returns the lists that certs name, with the authorities whose they are.
func listsOf(ctx context.Context, certs []*x509.Certificate) map[listKey]*x509.Certificate {
	wanted := make(map[listKey]*x509.Certificate)
	naming := 0
	for _, cert := range certs {
		if len(cert.CRLDistributionPoints) == 0 {
			continue
		}
		// Among very many certificates of one name the search takes long, for each signature is checked.
		if naming++; naming > maxLists || ctx.Err() != nil {
			break
		}
		issuer := issuerAmong(certs, cert)
		for _, url := range cert.CRLDistributionPoints {
			key := listKey{url: url}
			if issuer != nil {
				key = keyOf(url, issuer)
			}
			if len(wanted) < maxLists {
				wanted[key] = issuer
			}
		}
	}
	return wanted
}

// issuerAmong returns the certificate that issued cert, which may be cert itself, or nil if it is not among certs.
func issuerAmong(certs []*x509.Certificate, cert *x509.Certificate) *x509.Certificate {
	for _, issuer := range certs {
		if bytes.Equal(cert.RawIssuer, issuer.RawSubject) && cert.CheckSignatureFrom(issuer) == nil {
			return issuer
		}
	}
	return nil
}

// Run renews the lists in memory until ctx ends, so that admissions do not wait for lists and go by none older than refreshAfter, unless
// their authorities do not answer. Without it, lists are renewed when they are used.
func (c *Checker) Run(ctx context.Context) error {
	slots := semaphore.NewWeighted(fetchers)
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			each(ctx, slots, c.lists.memory.claimDue(c.lists.now()), c.lists.renew)
		}
	}
}

// each does something with each key, as slots are free, and returns when all of it is done. It begins nothing more when ctx has ended.
func each(ctx context.Context, slots *semaphore.Weighted, keys map[listKey]*x509.Certificate, do func(context.Context, listKey, *x509.Certificate)) {
	var group sync.WaitGroup
	defer group.Wait()
	for key, issuer := range keys {
		if slots.Acquire(ctx, 1) != nil {
			return
		}
		group.Go(func() {
			defer slots.Release(1)
			do(ctx, key, issuer)
		})
	}
}
