package notation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/crl"
	"github.com/notaryproject/notation-core-go/revocation/purpose"
	"github.com/notaryproject/notation-core-go/revocation/result"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

const (
	// revocationTimeout bounds one question to a revocation responder: Gatekeeper grants a whole verification a few seconds.
	revocationTimeout = 3 * time.Second

	// crlTimeout bounds the fetching of one revocation list. It goes on when the request that asked gives up, so that the next finds it.
	crlTimeout = 10 * time.Second

	// maxRevocationBytes limits an answer. The largest lists of public authorities are below 16 MiB.
	maxRevocationBytes = 16 << 20

	// maxCachedLists and maxCachedListBytes together keep the cache of lists below 64 MiB. Lists of code signing authorities are a few KiB.
	maxCachedLists     = 16
	maxCachedListBytes = 2 << 20

	// maxListAge is how long a list is used before it is fetched again, even if it is valid longer. Lists come over plain HTTP and are checked
	// only when used, so that a wrong one must not stay.
	maxListAge = 5 * time.Minute
)

// revocationClient is the HTTP client for revocation responders, shared by all verifiers so that new Snapshots reuse its connections.
var revocationClient = sync.OnceValue(func() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: revocationTimeout, Control: refuseInstanceServices}).DialContext
	return &http.Client{Transport: transport, Timeout: crlTimeout}
})

// instanceMetadata is the address of Alibaba Cloud's instance metadata service, which hands out credentials.
// See https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata.
var instanceMetadata = netip.AddrFrom4([4]byte{100, 100, 100, 200})

// refuseInstanceServices keeps responder addresses, which whoever made the certificate chooses, away from services that trust the machine.
func refuseInstanceServices(_, address string, _ syscall.RawConn) error {
	where, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := where.Addr().Unmap(); ip == instanceMetadata || ip.IsLinkLocalUnicast() {
		return fmt.Errorf("%s is not an address of a revocation responder", ip)
	}
	return nil
}

// limited returns a client like client whose answers end with an error after maxRevocationBytes.
func limited(client *http.Client) *http.Client {
	limited := *client
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	limited.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(r)
		if err == nil {
			response.Body = http.MaxBytesReader(nil, response.Body, maxRevocationBytes)
		}
		return response, err
	})
	return &limited
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// newValidators returns the revocation checks for signing and for timestamping certificates.
func newValidators(client *http.Client) (signing, timestamping revocation.Validator, err error) {
	if client == nil {
		client = revocationClient()
	}
	client = limited(client)
	ocspClient := *client
	ocspClient.Timeout = revocationTimeout
	lists, err := newListFetcher(client)
	if err != nil {
		return nil, nil, err
	}
	for validator, use := range map[*revocation.Validator]purpose.Purpose{&signing: purpose.CodeSigning, &timestamping: purpose.Timestamping} {
		inner, err := revocation.NewWithOptions(revocation.Options{OCSPHTTPClient: &ocspClient, CRLFetcher: lists, CertChainPurpose: use})
		if err != nil {
			return nil, nil, err
		}
		*validator = witnessing{inner}
	}
	return signing, timestamping, nil
}

// witnessing tells the witness of the verification what notation-go keeps to itself: whether a certificate is revoked or its status unknown.
type witnessing struct{ revocation.Validator }

func (v witnessing) ValidateContext(ctx context.Context, o revocation.ValidateContextOptions) ([]*result.CertRevocationResult, error) {
	results, err := v.Validator.ValidateContext(ctx, o)
	witnessOf(ctx).revocation = unknownStatus(o, results)
	return results, err
}

// unknownStatus returns an error that names the certificates whose status could not be found out and the responders' failures, or nil when
// all are known or one is revoked, which settles the matter.
func unknownStatus(o revocation.ValidateContextOptions, results []*result.CertRevocationResult) error {
	var unknown []string
	for i, r := range results {
		if r.Result == result.ResultRevoked {
			return nil
		}
		if r.Result != result.ResultUnknown {
			continue
		}
		var failures []string
		for _, server := range r.ServerResults {
			if server.Error != nil {
				failures = append(failures, fmt.Sprintf("%s: %v", server.Server, server.Error))
			}
		}
		unknown = append(unknown, fmt.Sprintf("revocation status of certificate %s is unknown: %s", o.CertChain[i].Subject, strings.Join(failures, "; ")))
	}
	if len(unknown) == 0 {
		return nil
	}
	return errors.New(clean(strings.Join(unknown, "; ")))
}

// listFetcher fetches revocation lists, each once at a time, and keeps them in memory.
type listFetcher struct {
	inner *crl.HTTPFetcher
	calls *flight.Group[*crl.Bundle]
}

func newListFetcher(client *http.Client) (*listFetcher, error) {
	inner, err := crl.NewHTTPFetcher(client)
	if err != nil {
		return nil, err
	}
	lists, err := lru.New[string, cachedList](maxCachedLists)
	if err != nil {
		return nil, err
	}
	inner.Cache = listCache{lists}
	return &listFetcher{inner, flight.New[*crl.Bundle](crlTimeout)}, nil
}

// Fetch returns the revocation list at url.
func (f *listFetcher) Fetch(ctx context.Context, url string) (*crl.Bundle, error) {
	return f.calls.Do(ctx, url, func(ctx context.Context) (*crl.Bundle, error) { return f.inner.Fetch(ctx, url) })
}

type cachedList struct {
	bundle  *crl.Bundle
	fetched time.Time
}

// listCache implements crl.Cache in memory.
type listCache struct {
	lists *lru.Cache[string, cachedList]
}

func (c listCache) Get(_ context.Context, url string) (*crl.Bundle, error) {
	list, ok := c.lists.Get(url)
	if !ok || time.Since(list.fetched) > maxListAge {
		return nil, crl.ErrCacheMiss
	}
	return list.bundle, nil
}

func (c listCache) Set(_ context.Context, url string, bundle *crl.Bundle) error {
	size := len(bundle.BaseCRL.Raw)
	if bundle.DeltaCRL != nil {
		size += len(bundle.DeltaCRL.Raw)
	}
	if size <= maxCachedListBytes {
		c.lists.Add(url, cachedList{bundle, time.Now()})
	}
	return nil
}
