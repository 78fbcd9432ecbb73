package revocation

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestInstanceServicesAreNotAsked(t *testing.T) {
	for address, refused := range map[string]bool{
		"100.100.100.200:80": true, "169.254.169.254:80": true, "[fe80::1]:80": true, "[::ffff:100.100.100.200]:80": true,
		"192.0.2.1:80": false, "127.0.0.1:80": false, "[2001:db8::1]:443": false,
	} {
		if err := refuseInstanceServices("tcp", address, nil); (err != nil) != refused {
			t.Errorf("refuseInstanceServices(%s) = %v, want refused: %t", address, err, refused)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://%s/", instanceMetadata), nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := defaultClient().Transport.(*http.Transport).Clone()
	transport.Proxy = nil // the machine's own settings do not matter here
	if response, err := transport.RoundTrip(request); err == nil || !strings.Contains(err.Error(), "not an address of a revocation responder") {
		t.Errorf("GET of the metadata service: %v, %v", response, err)
	}
}
