package kms

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/retry"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/openapi"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/rrsa"
)

const apiVersion = "2016-01-20"

// OpenAPI is a Client of the OpenAPI, with the rights of a RAM identity. Make one with NewOpenAPI.
type OpenAPI struct {
	cfg    Config
	main   gateway // asked whatever it answers
	shared gateway // asked what a dedicated instance does not answer; no host if there is no region
}

// gateway is a host of the OpenAPI.
type gateway struct {
	host      string
	transport *http.Transport
	api       *openapi.Caller
}

// NewOpenAPI returns a client. It calls nothing yet. Errors about cfg's fields are *parameter.Error.
func NewOpenAPI(cfg Config) (*OpenAPI, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	system := orDefault(cfg.Transport)
	o := &OpenAPI{cfg: cfg}
	if cfg.Region != "" {
		o.shared = o.gateway(SharedHost(cfg.Region, cfg.Network), system)
	}
	if o.main = o.shared; cfg.Endpoint != "" {
		own := system
		if len(cfg.CABundle) > 0 {
			var err error
			if own, err = trusting(system, cfg.CABundle); err != nil {
				return nil, err
			}
		}
		o.main = o.gateway(cfg.Endpoint, own)
		if !dedicated(cfg.Endpoint) {
			o.shared = o.main
		}
	}
	return o, nil
}

// SharedHost returns the host of a region's shared gateway. An empty network is the default one of Config.
// See https://www.alibabacloud.com/help/en/kms/key-management-service/developer-reference/api-kms-2016-01-20-endpoint.
func SharedHost(region, network string) string {
	if cmp.Or(network, defaultNetwork()) == NetworkVPC {
		return "kms-vpc." + region + ".aliyuncs.com"
	}
	return "kms." + region + ".aliyuncs.com"
}

func defaultNetwork() string {
	if rrsa.FromEnv().VPC {
		return NetworkVPC
	}
	return NetworkPublic
}

func (o *OpenAPI) gateway(host string, transport *http.Transport) gateway {
	return gateway{host: host, transport: transport, api: &openapi.Caller{
		Service: "kms", HTTP: openapi.NewHTTPClient(flight.Transport(transport)), Now: o.cfg.Now, OnRequest: o.cfg.OnRequest,
	}}
}

// String names the endpoint and the identity.
func (o *OpenAPI) String() string { return fmt.Sprintf("KMS at %s as %s", o.main.host, o.cfg.Identity) }

// CloseIdleConnections closes the connections that wait for the next call, those of Config.Transport included.
func (o *OpenAPI) CloseIdleConnections() {
	for _, g := range []gateway{o.main, o.shared} {
		if g.transport != nil {
			g.transport.CloseIdleConnections()
		}
	}
}

// question is a call of the API.
type question struct {
	op      string
	subject string
	query   map[string]string
}

// ask makes a call at a gateway, with the identity, within the timeout, and has check read the reply into what is asked for. If KMS says that
// the session has ended, the call is made once more with a new one.
func ask[V any](ctx context.Context, o *OpenAPI, at gateway, q question, check func(body []byte) (V, error)) (V, error) {
	return openapi.WithCredential(ctx, o.cfg.Identity, func(cred rrsa.Credential) (V, error) {
		ctx, cancel := context.WithTimeout(ctx, o.cfg.Timeout)
		defer cancel()
		return retry.Do(ctx, func(ctx context.Context) (V, error) {
			body, answered, ok := at.api.Do(ctx, openapi.Call{Action: q.op, Version: apiVersion, Endpoint: at.host, Region: o.cfg.Region, Query: q.query}, cred)
			failure := &Error{Op: q.op, Subject: q.subject, Endpoint: at.host, Identity: o.cfg.Identity.String(), Failure: answered}
			if !ok || answered.Code != "" {
				var none V
				return none, failure
			}
			v, err := check(body)
			if err != nil {
				failure.Err = err
				return v, failure
			}
			return v, nil
		})
	})
}

// management returns the gateway for calls that dedicated instances do not have.
func (o *OpenAPI) management(op, subject string) (gateway, error) {
	if o.shared.host == "" {
		return gateway{}, fmt.Errorf("%s of %s: %w: %s is a dedicated instance, and only the shared gateway answers this; set the region", op, subject,
			ErrUnsupported, o.main.host)
	}
	return o.shared, nil
}

// DescribeKey implements Client.
func (o *OpenAPI) DescribeKey(ctx context.Context, keyID string) (Key, error) {
	q := question{op: "DescribeKey", subject: "key " + keyID, query: map[string]string{"KeyId": keyID}}
	at, err := o.management(q.op, q.subject)
	if err != nil {
		return Key{}, err
	}
	return ask(ctx, o, at, q, func(body []byte) (Key, error) {
		var r struct {
			KeyMetadata struct {
				KeyID          string `json:"KeyId"`
				KeySpec        KeySpec
				KeyState       string
				KeyUsage       string
				Origin         string
				DKMSInstanceID string `json:"DKMSInstanceId"`
			}
		}
		if err := decode(body, &r); err != nil {
			return Key{}, err
		}
		m := r.KeyMetadata
		if err := present("KeyMetadata.KeyId", m.KeyID, "KeyMetadata.KeySpec", string(m.KeySpec)); err != nil {
			return Key{}, err
		}
		return Key{ID: m.KeyID, Spec: m.KeySpec, State: m.KeyState, Usage: m.KeyUsage, Origin: m.Origin, InstanceID: m.DKMSInstanceID},
			answeredKey{KeyID: m.KeyID}.check(keyID, "")
	})
}

// PublicKey implements Client.
func (o *OpenAPI) PublicKey(ctx context.Context, keyID, version string) (PublicKey, error) {
	version, err := o.newest(ctx, keyID, version)
	if err != nil {
		return PublicKey{}, err
	}
	q := question{op: "GetPublicKey", subject: subject(keyID, version), query: map[string]string{"KeyId": keyID, "KeyVersionId": version}}
	return ask(ctx, o, o.main, q, func(body []byte) (PublicKey, error) {
		var r struct {
			answeredKey
			PublicKey string
		}
		if err := decode(body, &r); err != nil {
			return PublicKey{}, err
		}
		if err := r.check(keyID, version); err != nil {
			return PublicKey{}, err
		}
		key, spec, err := parsePublicKey([]byte(r.PublicKey))
		return PublicKey{KeyID: r.KeyID, Version: version, Spec: spec, Key: key}, err
	})
}

// Sign implements Client.
func (o *OpenAPI) Sign(ctx context.Context, keyID, version string, algorithm Algorithm, digest [sha256.Size]byte) (Signature, error) {
	version, err := o.newest(ctx, keyID, version)
	if err != nil {
		return Signature{}, err
	}
	q := question{op: "AsymmetricSign", subject: subject(keyID, version), query: map[string]string{"KeyId": keyID, "KeyVersionId": version,
		"Algorithm": string(algorithm), "Digest": base64.StdEncoding.EncodeToString(digest[:])}}
	return ask(ctx, o, o.main, q, func(body []byte) (Signature, error) {
		var r struct {
			answeredKey
			Value string
		}
		if err := decode(body, &r); err != nil {
			return Signature{}, err
		}
		if err := r.check(keyID, version); err != nil {
			return Signature{}, err
		}
		value, err := base64.StdEncoding.DecodeString(r.Value)
		if err != nil {
			return Signature{}, errors.New("the reply's Value is not base64")
		}
		return Signature{KeyID: r.KeyID, Version: version, Value: value}, checkSignature("Value", algorithm, value)
	})
}

// Secret implements Client.
func (o *OpenAPI) Secret(ctx context.Context, name string, version SecretVersion) (Secret, error) {
	q := question{op: "GetSecretValue", subject: secretSubject(name, version), query: map[string]string{"SecretName": name}}
	if version.ID != "" {
		q.query["VersionId"] = version.ID
	} else if version.Stage != "" {
		q.query["VersionStage"] = version.Stage
	}
	return ask(ctx, o, o.main, q, func(body []byte) (Secret, error) {
		var r struct {
			answeredSecret
			VersionStages struct{ VersionStage []string }
		}
		if err := decode(body, &r); err != nil {
			return Secret{}, err
		}
		return r.secret(name, version, r.VersionStages.VersionStage)
	})
}

// decode reads a reply. Its errors quote nothing of it, which may be secret.
func decode(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if mistake, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("the reply is not what the API documents: %s is a JSON %s", reply.Text(mistake.Field), mistake.Value)
	}
	if err != nil {
		return errors.New("the reply is not what the API documents")
	}
	return nil
}
