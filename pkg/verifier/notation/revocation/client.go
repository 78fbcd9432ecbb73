package revocation

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/httplimit"
)

const (
	// ocspTimeout bounds one question to an OCSP responder: Gatekeeper grants a whole verification a few seconds.
	ocspTimeout = 3 * time.Second

	// ocspShare and listShare are the parts of the time left to a request that the answer to one question, and one list, may take.
	ocspShare = 1.0 / 3
	listShare = 1.0 / 2

	// listTimeout bounds the fetching of one revocation list. It goes on when the request that asked gives up, so that the next finds it.
	listTimeout = 10 * time.Second

	// maxListBytes limits a list. The largest of public authorities are below 16 MiB.
	maxListBytes = 16 << 20
)

// defaultClient is the HTTP client for responders, shared by all Checkers.
var defaultClient = sync.OnceValue(func() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: ocspTimeout, Control: refuseInstanceServices}).DialContext
	return &http.Client{Transport: transport}
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

// limited returns a client like client whose answers end with an error after maxListBytes, of which few are large at the same time, and that
// says whose answer it waits for.
func limited(client *http.Client) *http.Client {
	limited := *client
	limited.Timeout = 0 // every call has a deadline of its own
	next := client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	limited.Transport = largeOnesWait(httplimit.Transport(flight.Transport(next), maxListBytes))
	return &limited
}

// withShare returns a context that ends with ctx, after limit, and after this share of the time that ctx has left.
func withShare(ctx context.Context, share float64, limit time.Duration) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Duration(share*float64(time.Until(deadline))))
	}
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit.Round(time.Millisecond)))
}
