package cosign

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata/fetcher"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/expiring"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/regularfile"
)

// The environment variables by which cosign takes its trust root from elsewhere.
const (
	envTUFMirror = "TUF_MIRROR"    // URL of a repository that mirrors Sigstore's or is another
	envTUFRoot   = "TUF_ROOT_JSON" // file with the root metadata of that repository
	envTUFCache  = "TUF_ROOT"      // folder to keep the repository's files in; without it they are kept in memory only
)

const (
	// fetchTimeout bounds the reading of the trust root: about ten small files, one after the other.
	fetchTimeout = 30 * time.Second

	// trustRootLife is how long a trust root is used. It is renewed after three quarters of that; half a day of outage is ridden out. Sigstore
	// signs the time stamp of its repository anew every few days, and withdrawn keys must not stay trusted for longer.
	trustRootLife = 48 * time.Hour
)

// TrustRoot is Sigstore's: the certificates of Fulcio and the keys of transparency logs. It is read over TUF when it is first needed, kept, and
// renewed in the background. Make one with NewTrustRoot for all verifiers of a process. It is safe for concurrent use.
type TrustRoot struct {
	value *expiring.Value[material]
}

// NewTrustRoot returns a TrustRoot that is read through transport; nil means http.DefaultTransport. The environment variables TUF_MIRROR,
// TUF_ROOT_JSON and TUF_ROOT work as with the cosign command, except that a mirror that "cosign initialize" noted in the folder TUF_ROOT must be
// named by TUF_MIRROR and TUF_ROOT_JSON. Log, or slog.Default() if it is nil, is told of renewals that fail.
func NewTrustRoot(transport http.RoundTripper, log *slog.Logger) *TrustRoot {
	return newTrustRoot(transport, log, time.Now)
}

func newTrustRoot(transport http.RoundTripper, log *slog.Logger, now func() time.Time) *TrustRoot {
	if log == nil {
		log = slog.Default()
	}
	client := newClient(transport)
	fetch := func(ctx context.Context) (material, time.Time, error) {
		m, err := fetchTrustRoot(ctx, client)
		return m, now().Add(trustRootLife), err
	}
	r := &TrustRoot{expiring.New(fetch, fetchTimeout, now)}
	r.value.OnRefreshError = func(err error, validUntil time.Time) {
		log.Warn("Sigstore's trust root could not be renewed", slog.Any("error", err), slog.Time("validUntil", validUntil))
	}
	return r
}

func (r *TrustRoot) get(ctx context.Context) (material, error) { return r.value.Get(ctx) }

// tufOptions returns where the trust root is read from.
func tufOptions() (*tuf.Options, error) {
	o := &tuf.Options{Root: tuf.DefaultRoot(), RepositoryBaseURL: tuf.DefaultMirror, CachePath: os.Getenv(envTUFCache)}
	o.DisableLocalCache = o.CachePath == ""
	mirror, rootFile := os.Getenv(envTUFMirror), os.Getenv(envTUFRoot)
	if mirror != "" {
		if _, ok := parseURL(mirror); !ok {
			return nil, fmt.Errorf("the environment variable %s is not a URL such as %s", envTUFMirror, tuf.DefaultMirror)
		}
		if o.RepositoryBaseURL = mirror; mirror != tuf.DefaultMirror && rootFile == "" {
			return nil, fmt.Errorf("the environment variable %s names a repository of its own; %s must name the file with its root metadata",
				envTUFMirror, envTUFRoot)
		}
	}
	if rootFile != "" {
		var err error
		if o.Root, err = regularfile.Read(rootFile, pemfile.MaxBytes); err != nil {
			return nil, fmt.Errorf("the environment variable %s: %w", envTUFRoot, err)
		}
	}
	return o, nil
}

func fetchTrustRoot(ctx context.Context, client *http.Client) (material, error) {
	o, err := tufOptions()
	if err != nil {
		return material{}, err
	}
	f := fetcher.NewDefaultFetcher() // asks once, and limits sizes
	f.SetHTTPClient(boundClient{ctx, client})
	o.Fetcher = f
	trusted, err := root.FetchTrustedRootWithOptions(o)
	if err != nil {
		return material{}, fmt.Errorf("read Sigstore's trust root from %s: %w; make it reachable from here, or give its content in files by %s, %s and %s",
			o.RepositoryBaseURL, err, envRootFile, envRekorKey, envCTLogKey)
	}
	return materialOf(trusted), nil
}

// boundClient makes all requests a part of one call.
type boundClient struct {
	ctx    context.Context
	client *http.Client
}

func (c boundClient) Do(r *http.Request) (*http.Response, error) {
	return c.client.Do(r.WithContext(c.ctx))
}

// newClient returns a client that notes for whom callers wait.
func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = http.DefaultTransport
	}
	return &http.Client{Transport: flight.Transport(transport)}
}
