package referrerstore

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/ocispecs"
	upstream "github.com/ratify-project/ratify/pkg/referrerstore"
	storeconfig "github.com/ratify-project/ratify/pkg/referrerstore/config"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider/dockerconfig"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/auth"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/cache"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/referrerstore/internal/transport"
)

// defaultUserAgent is the User-Agent of a store whose Options name none.
const defaultUserAgent = "ratify-alibabacloud"

// Options are what a store needs besides its configuration. The zero value is fine.
type Options struct {
	Transport *http.Transport               // connections to registries, cloned; nil: http.DefaultTransport, with the proxy of the environment
	UserAgent string                        // of all requests; "" means ratify-alibabacloud
	OnRequest func(host string, status int) // told of each request to a registry or token service; status 0: no answer
	OnCache   func(hit bool)                // told of each look-up of a manifest or blob in the caches
	Now       func() time.Time              // nil: time.Now
	Log       *slog.Logger                  // nil: slog.Default()
	// NewAuthProvider makes an auth provider of its block; nil: there is dockerConfig only. The block is nil if none is configured. The provider
	// is asked by several callers at once.
	NewAuthProvider func(map[string]any) (authprovider.AuthProvider, error)

	timeout time.Duration // of one call; 0: callTimeout
}

// Store reads from registries as one entry of `store.plugins`, or a Store resource, configures. Make one with New. It is safe for
// concurrent use.
type Store struct {
	settings  settings
	raw       storeconfig.StoreConfig
	transport *transport.Transport
	auth      *auth.Client
	onCache   func(hit bool)
	log       *slog.Logger

	descriptors    *cache.Memory[ocispec.Descriptor]
	referrers      *cache.Memory[[]ocispecs.ReferenceDescriptor]
	contents       *cache.Memory[[]byte]
	sizes          *cache.Memory[int64] // that manifests declare for their blobs
	noReferrersAPI *cache.Memory[struct{}]
	disk           *cache.Disk // nil: none

	resolving calls[ocispec.Descriptor]
	listing   calls[[]ocispecs.ReferenceDescriptor]
	fetching  calls[[]byte]
}

var _ upstream.ReferrerStore = (*Store)(nil)

// New returns the store that cfg configures: one entry of `store.plugins`, or a Store resource's parameters plus its name. version is that
// of the configuration's format. Errors wrap ErrConfig and name the field.
func New(cfg storeconfig.StorePluginConfig, version string, o Options) (*Store, error) {
	settings, err := parseConfig(cfg)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.NewAuthProvider == nil {
		o.NewAuthProvider = func(block map[string]any) (authprovider.AuthProvider, error) { return dockerconfig.New(block, o.Now) }
	}
	if o.OnCache == nil {
		o.OnCache = func(bool) {}
	}
	o.UserAgent = cmp.Or(o.UserAgent, defaultUserAgent)
	source, err := newProviders(settings.providers, settings.allowAnonymous, o.NewAuthProvider, o.Now)
	if err != nil {
		return nil, err
	}
	return newStore(settings, storeconfig.StoreConfig{Version: version, Store: cfg}, source, o)
}

func newStore(settings settings, raw storeconfig.StoreConfig, source auth.Source, o Options) (*Store, error) {
	timeout := cmp.Or(o.timeout, callTimeout)
	connections, err := transport.New(transport.Config{Base: o.Transport, Roots: settings.roots, Private: settings.privateRoots(),
		OnRequest: o.OnRequest, Now: o.Now})
	if err != nil {
		return nil, err
	}
	s := &Store{
		settings:  settings,
		raw:       raw,
		transport: connections,
		auth: auth.New(auth.Config{Transport: connections, Source: source, PlainHTTP: settings.plainHTTP, UserAgent: o.UserAgent,
			Timeout: timeout, Now: o.Now, Log: o.Log}),
		onCache:        o.OnCache,
		log:            o.Log,
		descriptors:    cache.NewMemory[ocispec.Descriptor](descriptorBytes, settings.ttl, o.Now),
		referrers:      cache.NewMemory[[]ocispecs.ReferenceDescriptor](referrersBytes, settings.ttl, o.Now),
		contents:       cache.NewMemory[[]byte](memoryBytes, 0, o.Now),
		sizes:          cache.NewMemory[int64](sizeBytes, 0, o.Now),
		noReferrersAPI: cache.NewMemory[struct{}](registryBytes, noReferrersAPIFor, o.Now),
		resolving:      newCalls[ocispec.Descriptor](timeout),
		listing:        newCalls[[]ocispecs.ReferenceDescriptor](timeout),
		fetching:       newCalls[[]byte](timeout),
	}
	if settings.localCachePath != "" {
		if s.disk, err = cache.OpenDisk(settings.localCachePath, diskBytes, o.Log); err != nil {
			// A read-only file system is how hardened pods run: memory serves, too.
			s.disk = nil
			o.Log.Warn("the disk cache cannot be used; contents are kept in memory only: make localCachePath writable or leave it out",
				"store", settings.name, "localCachePath", settings.localCachePath, "error", err)
		}
	}
	return s, nil
}

// Close ends the store's idle connections. Calls that are under way still end well.
func (s *Store) Close() error {
	s.transport.Close()
	return nil
}

// Name returns the store's name in the configuration.
func (s *Store) Name() string { return s.settings.name }

// GetConfig returns the configuration that the store was made of.
func (s *Store) GetConfig() *storeconfig.StoreConfig { return &s.raw }

// repository returns a client of oras-go for the repository of r.
func (s *Store) repository(r reference) *remote.Repository {
	at := registry.Reference{Registry: r.registry, Repository: r.repository}
	return &remote.Repository{
		Client:               s.auth.Repository(at.Host(), r.repository, r.path()),
		Reference:            at,
		PlainHTTP:            s.settings.plainHTTP(at.Host()),
		ReferrerListMaxPages: maxPages,
		MaxMetadataBytes:     maxIndex,
	}
}

// key names something of a repository in the caches. Nothing is shared between repositories: who may read one may not read another.
func (r reference) key() string { return r.path() + "@" + r.target }

func (r reference) keyOf(id digest.Digest) string { return r.path() + "@" + id.String() }
