package kms

import (
	"cmp"
	"crypto/rsa"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/network"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/openapi"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
)

// instanceDomain is below which dedicated instances have their hosts.
const instanceDomain = ".cryptoservice.kms.aliyuncs.com"

// instanceID is the form of the IDs of dedicated instances.
var instanceID = regexp.MustCompile(`^kst-[a-z0-9]+$`)

// Options for New.
type Options struct {
	Directory *ram.Directory
	Now       func() time.Time
	Region    string // of keys and instances that name none, and of all secrets
}

// Service is Key Management Service in all regions. It is safe for concurrent use.
type Service struct {
	o Options

	wrapping  func() (*rsa.PrivateKey, error) // of all import parameters: making keys is slow
	clientKey func() (*rsa.PrivateKey, error) // of all application access points

	mu           sync.Mutex
	instances    map[string]*instance // by ID
	keys         []*key
	secrets      map[string]*secret
	denied       []string               // actions
	accessPoints map[string]accessPoint // by ID, KAAP.…
	tokens       map[string]importToken // by token
}

// instance is a dedicated instance.
type instance struct {
	id, region string
	authority  *network.Authority
}

// New returns a service without instances, keys and secrets.
func New(o Options) *Service {
	return &Service{
		o:            o,
		wrapping:     sync.OnceValues(newRSAKey),
		clientKey:    sync.OnceValues(newRSAKey),
		instances:    map[string]*instance{},
		secrets:      map[string]*secret{},
		accessPoints: map[string]accessPoint{},
		tokens:       map[string]importToken{},
	}
}

// AddInstance adds a dedicated instance, with a host and a certificate authority of its own. region may be empty.
func (s *Service) AddInstance(id, region string) error {
	if !instanceID.MatchString(id) {
		return fmt.Errorf("KMS instance: %q is not an ID such as kst-hzz0123456789", id)
	}
	authority, err := network.NewAuthority("KMS instance " + id)
	if err != nil {
		return fmt.Errorf("KMS instance %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.instances[id] != nil {
		return fmt.Errorf("KMS instance %s: the ID is taken", id)
	}
	s.instances[id] = &instance{id: id, region: cmp.Or(region, s.o.Region), authority: authority}
	return nil
}

// InstanceCA returns the certificate that the host of an instance is verified with, as the console's file PrivateKmsCA_<ID>.pem has it.
func (s *Service) InstanceCA(id string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.instances[id]
	if i == nil {
		return nil, fmt.Errorf("there is no KMS instance %s", id)
	}
	return i.authority.PEM(), nil
}

// Deny has all calls of some actions fail for lack of a permission, and allows all other actions again. Actions are named as they are called:
// "AsymmetricSign" of the OpenAPI, "Sign" of client keys.
func (s *Service) Deny(actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = slices.Clone(actions)
}

// permit refuses denied actions.
func (s *Service) permit(action string) *openapi.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.denied, action) {
		return refusal(http.StatusForbidden, "Forbidden.NoPermission", "This operation is forbidden by permission system.")
	}
	return nil
}

// Instance returns what serves a host name of a dedicated instance, or nil.
func (s *Service) Instance(host string) network.Service {
	id, _ := strings.CutSuffix(host, instanceDomain)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.instances[id]
	if i == nil || host != id+instanceDomain {
		return nil
	}
	in := scope{i.region, id}
	return &dedicated{s.gateway(in, host), &protocol{s, in}, i.authority}
}

// scope is whose keys and secrets a host serves.
type scope struct {
	region   string
	instance string // empty: all keys of the region, those of its instances included
}

// dedicated is the host of a dedicated instance: both protocols on one port.
type dedicated struct {
	gateway   *openapi.Gateway
	protocol  *protocol
	authority *network.Authority
}

// Authority makes the host's certificate one of the instance.
func (d *dedicated) Authority() *network.Authority { return d.authority }

// Action returns the action of either protocol.
func (d *dedicated) Action(r *http.Request) string {
	if d.protocol.spoken(r) {
		return d.protocol.Action(r)
	}
	return d.gateway.Action(r)
}

func (d *dedicated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.protocol.spoken(r) {
		d.protocol.ServeHTTP(w, r)
		return
	}
	d.gateway.ServeHTTP(w, r)
}

// refusal returns an error of the API. KMS repeats the HTTP status in the body.
func refusal(status int, code, message string) *openapi.Error {
	return &openapi.Error{Status: status, Code: code, Message: message, Detail: map[string]any{"HttpStatus": status}}
}
