package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

// Config says whose rights to use, and how to get them.
type Config struct {
	Credential *Credential // checked; to use instead of RRSA

	// What the environment says of RRSA is overridden by these.
	RoleARN         string
	OIDCProviderARN string
	OIDCTokenFile   string // path
	RoleSessionName string
	STSEndpoint     string // host[:port]

	Region string // of the calls, which STS is asked in where the environment names none
	VPC    bool   // of STS's endpoint

	Timeout   time.Duration // of one call to STS, retries included
	Transport http.RoundTripper
	Now       func() time.Time
	Log       *slog.Logger                     // default slog.Default()
	OnRequest func(service string, status int) // told of each request to STS
	Sessions  func(*rrsa.Provider) rrsa.Source // if set, makes what hands out RRSA's sessions in the place of the Provider
}

// New returns the source of credentials. It asks nobody yet. The error wraps rrsa.ErrNoIdentity if there is neither a Credential nor an RRSA
// identity.
func New(c Config) (rrsa.Source, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	env := rrsa.FromEnv()
	if c.Credential != nil {
		if env.RoleARN != "" && env.OIDCProviderARN != "" {
			c.Log.Info("the configured credential is used, although this pod has an RRSA identity", "credential", c.Credential.Type, "rrsaRole", env.RoleARN)
		}
		return c.Credential.source(c)
	}
	source, err := rrsa.New(rrsa.Config{
		RoleARN:         cmp.Or(c.RoleARN, env.RoleARN),
		OIDCProviderARN: cmp.Or(c.OIDCProviderARN, env.OIDCProviderARN),
		TokenFile:       cmp.Or(c.OIDCTokenFile, env.TokenFile),
		SessionName:     cmp.Or(c.RoleSessionName, env.SessionName),
		Endpoint:        cmp.Or(c.STSEndpoint, env.Endpoint),
		// The cluster's region before that of the calls: STS serves all regions, and its VPC endpoint only the cluster's.
		Region: cmp.Or(env.Region, c.Region), VPC: c.VPC,
		Timeout: c.Timeout, Transport: c.Transport, Now: c.Now, Log: c.Log, OnRequest: c.OnRequest,
	})
	if errors.Is(err, rrsa.ErrNoIdentity) {
		err = fmt.Errorf("%w; without RRSA, configure a credential of another type", err)
		if os.Getenv(EnvAccessKeyID) != "" {
			err = fmt.Errorf("%w, for example {type: access_key} for the one in %s", err, EnvAccessKeyID)
		}
	}
	if err != nil {
		return nil, err
	}
	if c.Sessions != nil {
		return c.Sessions(source), nil
	}
	return source, nil
}

// Nobody returns a source without credentials: err says why there are none.
func Nobody(err error) rrsa.Source { return nobody{err} }

type nobody struct{ err error }

func (n nobody) Credential(context.Context) (rrsa.Credential, error) { return rrsa.Credential{}, n.err }
func (n nobody) Forget(rrsa.Credential)                              {}
func (n nobody) String() string                                      { return "no identity" }
