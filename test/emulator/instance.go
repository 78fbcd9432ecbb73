package emulator

import (
	"cmp"
	"fmt"
	"net/http"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/acr"
)

// DefaultID returns the id of an instance that is added without one, such as cri-demo000000000001 for demo.
func DefaultID(name string) string { return acr.DefaultID(name) }

// AddInstance adds an instance with an empty registry. Its hosts are served from now on, and its region exists.
func (c *Cloud) AddInstance(i Instance) error {
	i.Region = cmp.Or(i.Region, c.o.Region)
	if !regionID.MatchString(i.Region) {
		return fmt.Errorf("instance %s: region: %q is not a region ID such as cn-hangzhou", i.Name, i.Region)
	}
	if _, err := c.acr.AddInstance(i); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.regions[i.Region] = true
	return nil
}

// SetErrorShape200 chooses how the API says INSTANCE_NOT_EXIST: false (the default) with HTTP status 404, true with status 200
// and IsSuccess false. Clients have to understand both.
func (c *Cloud) SetErrorShape200(on bool) { c.acr.SetErrorShape200(on) }

// RevokeSessions ends the STS sessions handed out so far. What they were used for stays valid.
func (c *Cloud) RevokeSessions() { c.directory.EndSessions() }

// RevokePasswords makes the registry passwords handed out so far invalid. Bearer tokens stay valid.
func (c *Cloud) RevokePasswords() { c.acr.RevokePasswords() }

// RevokeBearers makes the registries' Bearer tokens handed out so far invalid.
func (c *Cloud) RevokeBearers() { c.acr.RevokeBearers() }

// PushTransport returns a transport with which tests push, sign and delete in an instance as its owner. Registry clients need
// no credentials with it. Its requests count, and meet faults, as any others do.
func (c *Cloud) PushTransport(instanceID string) http.RoundTripper {
	return owner{cloud: c, instance: instanceID}
}

// OwnerPassword returns the user and the password with which programs outside of the test push in an instance. The password
// is good until Close.
func (c *Cloud) OwnerPassword(instanceID string) (user, password string) {
	return c.acr.OwnerPassword(instanceID)
}

type owner struct {
	cloud    *Cloud
	instance string
}

// RoundTrip adds a token of the owner to requests for the instance's hosts.
func (o owner) RoundTrip(r *http.Request) (*http.Response, error) {
	if o.cloud.acr.Owns(o.instance, r.URL.Hostname()) {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+o.cloud.acr.OwnerBearer(o.instance))
	}
	return o.cloud.owner.RoundTrip(r)
}
