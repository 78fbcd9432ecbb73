package acr

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
)

// defaultLifetime is that of temporary passwords, and defaultBearerLifetime that of Bearer tokens.
const (
	defaultLifetime       = time.Hour
	defaultBearerLifetime = 5 * time.Minute
)

// Options for New.
type Options struct {
	Directory      *ram.Directory
	Now            func() time.Time
	TokenLifetime  time.Duration // of temporary passwords; 0: an hour. They never outlive the session that asked for them.
	BearerLifetime time.Duration // of Bearer tokens; 0: 5 minutes
	// Direct returns the host:port at which a host name is served directly.
	Direct func(host string) (string, error)
}

// Service is Container Registry in all regions. It is safe for concurrent use.
type Service struct {
	o Options

	mu            sync.Mutex
	errorShape200 bool
	instances     map[string]*instance // by id
	passwords     map[string]password
	bearers       map[string]bearer
}

// New returns a service without instances.
func New(o Options) *Service {
	o.TokenLifetime = cmp.Or(o.TokenLifetime, defaultLifetime)
	o.BearerLifetime = cmp.Or(o.BearerLifetime, defaultBearerLifetime)
	return &Service{o: o, instances: map[string]*instance{}, passwords: map[string]password{}, bearers: map[string]bearer{}}
}

// AddInstance adds an instance with an empty registry, and returns it as it is served.
func (s *Service) AddInstance(i Instance) (Instance, error) {
	i, err := i.complete()
	if err != nil {
		return i, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.instances[i.ID]; taken {
		return i, fmt.Errorf("instance %s: id %s is taken", i.Name, i.ID)
	}
	for _, host := range i.Hosts() {
		if other := s.byHost(host); other != nil {
			return i, fmt.Errorf("instance %s: host %s belongs to instance %s", i.Name, host, other.ID)
		}
	}
	var registry backend = newReferrersRegistry()
	if i.NoReferrersAPI {
		if registry, err = newTagSchemaRegistry(); err != nil {
			return i, fmt.Errorf("instance %s: %w", i.Name, err)
		}
	}
	s.instances[i.ID] = &instance{Instance: i, created: s.o.Now(), password: rand.Text(), bearer: rand.Text(), backend: registry}
	return i, nil
}

// SetErrorShape200 chooses how the API says INSTANCE_NOT_EXIST: with HTTP status 200 and IsSuccess false, or else with 404.
// Both have been seen of the real one.
func (s *Service) SetErrorShape200(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errorShape200 = on
}

// Owns reports whether a host name is one of the instance's.
func (s *Service) Owns(instanceID, host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.byHost(strings.ToLower(host))
	return i != nil && i.ID == instanceID
}

// Close ends the registries.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, i := range s.instances {
		errs = append(errs, i.backend.Close())
	}
	return errors.Join(errs...)
}

// byHost needs s.mu.
func (s *Service) byHost(host string) *instance {
	for _, i := range s.instances {
		if slices.Contains(i.Hosts(), host) {
			return i
		}
	}
	return nil
}

// inRegion returns the instance of an id in a region, or nil.
func (s *Service) inRegion(region, id string) *instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.instances[id]; i != nil && i.Region == region {
		return i
	}
	return nil
}

// regional returns a region's instances in the order of their names.
func (s *Service) regional(region string) []*instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*instance
	for _, i := range s.instances {
		if i.Region == region {
			found = append(found, i)
		}
	}
	slices.SortFunc(found, func(a, b *instance) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// closer adapts handlers that hold nothing.
type closer struct{ http.Handler }

func (closer) Close() error { return nil }
