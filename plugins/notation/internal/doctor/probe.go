package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/kms"
)

// maxSkew is how far the clock may be off: certificates that the plugin makes are backdated by as much. KMS itself bears 15 minutes.
const maxSkew = 5 * time.Minute

// probeTimeout is longer than a handshake through a slow proxy takes, and shorter than people wait for a line.
const probeTimeout = 5 * time.Second

// probe asks a host anything, and returns the time by its clock, which is zero if the answer does not tell. Any answer will do, as TLS is
// verified: with ca, in PEM, or with the system's authorities if that is empty.
func probe(ctx context.Context, host string, ca []byte) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	transport := http.DefaultTransport.(*http.Transport).Clone() // it honours HTTPS_PROXY and SSL_CERT_FILE
	defer transport.CloseIdleConnections()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(ca) {
			return time.Time{}, errors.New("the CA file holds no certificate in PEM")
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+host+"/", nil)
	if err != nil {
		return time.Time{}, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		failed := kms.Error{Endpoint: host}
		failed.Err = err
		return time.Time{}, fmt.Errorf("%s: %w; %s", host, err, failed.Remedy())
	}
	defer response.Body.Close()
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return time.Time{}, nil // a server without a clock need not tell the time (RFC 9110, section 6.6.1)
	}
	return date, nil
}
