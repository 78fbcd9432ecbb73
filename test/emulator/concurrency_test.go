package emulator_test

import (
	"fmt"
	"sync"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

// TestConcurrentUse pulls, adds instances, changes faults and reads counters at the same time, for the race detector.
func TestConcurrentUse(t *testing.T) {
	cloud := start(t, emulator.Options{})
	image := push(t, cloud, demoID, demoHost+"/team/app")
	user, fixed := cloud.OwnerPassword(demoID)
	cloud.ResetCalls()
	const pulls = 50
	transport := cloud.Transport()
	t.Cleanup(transport.CloseIdleConnections)
	var all sync.WaitGroup
	for range pulls {
		r := repository(t, transport, demoHost+"/team/app", auth.Credential{Username: user, Password: fixed})
		all.Go(func() {
			if got, err := r.Resolve(soon(t), "v1"); err != nil || got.Digest != image.Digest {
				t.Errorf("Resolve: %v, error %v", got, err)
			}
		})
	}
	for i := range 5 {
		all.Go(func() {
			name := fmt.Sprintf("more-%d", i)
			if err := cloud.AddInstance(emulator.Instance{Name: name, NoReferrersAPI: i%2 == 0}); err != nil {
				t.Error(err)
			}
			e := cloud.Endpoint(name + "-registry.cn-hangzhou.cr.aliyuncs.com")
			e.SetFault(emulator.Fault{Hang: true})
			e.SetLatency(1)
			e.SetFault(emulator.Fault{})
			cloud.Calls()
			cloud.RevokePasswords()
			cloud.RevokeSessions()
		})
	}
	all.Wait()
	// Each pull is refused once, fetches a token, and asks again.
	if got := cloud.Endpoint(demoHost).CallsTo("HEAD manifests"); got != 2*pulls {
		t.Errorf("%d requests for the manifest, want %d", got, 2*pulls)
	}
	if got := cloud.Endpoint(authHost).CallsTo("GET token"); got != pulls {
		t.Errorf("%d tokens, want %d", got, pulls)
	}
}
