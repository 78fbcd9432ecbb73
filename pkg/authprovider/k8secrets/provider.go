package k8secrets

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/transport"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/httplimit"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/authprovider"
)

// Name is the provider's name in configurations.
const Name = "k8Secrets"

const (
	// callTimeout bounds one request to the API server.
	callTimeout = 3 * time.Second
	// maxAnswer bounds its answer. It takes no Secret of more than 1 MiB, which base64 and metadata make a half larger.
	maxAnswer = 2 << 20
)

// Options are what a provider needs of its process. The zero value is usable in a pod.
type Options struct {
	Cluster *rest.Config     // nil: that of the pod's service account
	Now     func() time.Time // nil: time.Now
}

// Provider reads Secrets. Make one with New. It is safe for concurrent use.
type Provider struct {
	settings settings
	cluster  typedcore.CoreV1Interface
	now      func() time.Time
}

var _ authprovider.AuthProvider = (*Provider)(nil)

// New returns a Provider for the authProvider block of a store. An error names the key or the environment's variable. It asks nobody yet.
func New(block map[string]any, o Options) (*Provider, error) {
	s, err := parse(block)
	if err != nil {
		return nil, err
	}
	config := o.Cluster
	if config == nil {
		if config, err = rest.InClusterConfig(); err != nil {
			return nil, fmt.Errorf("it reads Secrets of the cluster that it runs in: %w", err)
		}
	}
	config = rest.CopyConfig(config)
	config.Timeout = callTimeout
	config.QPS = -1 // client-go's limit would make one look-up, or one registry, wait for others; the API server has limits of its own
	config.Wrap(func(inner http.RoundTripper) http.RoundTripper { return httplimit.Transport(inner, maxAnswer) })
	if file := config.BearerTokenFile; file != "" {
		// By itself client-go uses a token for a minute, even when it was refused; this source reads the file again then.
		config.BearerToken, config.BearerTokenFile = "", ""
		config.Wrap(transport.ResettableTokenSourceWrapTransport(transport.NewCachedFileTokenSource(file)))
	}
	cluster, err := typedcore.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Provider{settings: s, cluster: cluster, now: o.Now}, nil
}

// Provide returns the credentials for an artifact, host[:port]/repository with or without tag and digest: of the first Secret that names the
// host. The error wraps authprovider.ErrNotCovered if all Secrets were read and none does; what could not be read is another error.
func (p *Provider) Provide(ctx context.Context, artifact string) (authprovider.AuthConfig, error) {
	registry, _, _ := strings.Cut(artifact, "/")
	var notes []string
	try := func(name secretName, listed bool) (authprovider.AuthConfig, bool, error) {
		secret, err := get(ctx, p.cluster.Secrets(name.Namespace).Get, name.Name)
		switch {
		case apierrors.IsNotFound(err): // as the kubelet has it, and upstream
			notes = append(notes, fmt.Sprintf("there is no Secret %s", name))
			return authprovider.AuthConfig{}, false, nil
		case err != nil:
			return authprovider.AuthConfig{}, false, p.explain("Secret "+name.String(), "secrets", name.Namespace, err)
		}
		found, ok, err := find(secret, registry)
		switch {
		case errors.Is(err, errType) && !listed:
			notes = append(notes, fmt.Sprintf("Secret %s: %v", name, err))
			return authprovider.AuthConfig{}, false, nil
		case err != nil:
			return authprovider.AuthConfig{}, false, fmt.Errorf("in Secret %s: %w", name, err)
		case !ok:
			notes = append(notes, fmt.Sprintf("Secret %s has no entry for it", name))
			return authprovider.AuthConfig{}, false, nil
		}
		found.ExpiresOn = p.now().Add(p.settings.life)
		return found, true, nil
	}
	for _, name := range p.settings.Secrets {
		if config, ok, err := try(name, true); ok || err != nil {
			return config, err
		}
	}
	account, err := get(ctx, p.cluster.ServiceAccounts(p.settings.namespace).Get, p.settings.ServiceAccountName)
	if err != nil {
		return authprovider.AuthConfig{}, p.explain("service account "+p.settings.namespace+"/"+p.settings.ServiceAccountName, "serviceaccounts", p.settings.namespace, err)
	}
	for i, pull := range account.ImagePullSecrets {
		if i == maxSecrets {
			return authprovider.AuthConfig{}, fmt.Errorf("service account %s/%s has more than %d imagePullSecrets", p.settings.namespace, account.Name, maxSecrets)
		}
		if config, ok, err := try(secretName{Name: pull.Name, Namespace: p.settings.namespace}, false); ok || err != nil {
			return config, err
		}
	}
	if len(notes) == 0 {
		notes = []string{fmt.Sprintf("service account %s/%s has no imagePullSecrets", p.settings.namespace, p.settings.ServiceAccountName)}
	}
	return authprovider.AuthConfig{}, fmt.Errorf("%w %s: %s: %s", authprovider.ErrNotCovered, Name, registry, strings.Join(notes, "; "))
}

// get reads an object, again if the API server does not take the pod's token: after a rotation the file has a new one.
func get[T *core.Secret | *core.ServiceAccount](ctx context.Context, get func(context.Context, string, meta.GetOptions) (T, error), name string) (T, error) {
	object, err := get(ctx, name, meta.GetOptions{})
	if apierrors.IsUnauthorized(err) {
		object, err = get(ctx, name, meta.GetOptions{})
	}
	return object, err
}

// explain says what to do about an answer of the API server.
func (p *Provider) explain(what, resource, namespace string, err error) error {
	err = fmt.Errorf("reading %s: %w", what, err)
	if apierrors.IsForbidden(err) {
		err = fmt.Errorf("%w (allow Ratify's service account to get %s in namespace %s with a Role and a RoleBinding)", err, resource, namespace)
	}
	return err
}
