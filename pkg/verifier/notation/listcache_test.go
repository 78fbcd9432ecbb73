package notation

import (
	"crypto/x509"
	"errors"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/notaryproject/notation-core-go/revocation/crl"
)

// Lists are kept for a while only, and only those that are not too large.
func TestListCache(t *testing.T) {
	lists, err := lru.New[string, cachedList](maxCachedLists)
	if err != nil {
		t.Fatal(err)
	}
	cache := listCache{lists}
	bundle := func(base, delta int) *crl.Bundle {
		return &crl.Bundle{BaseCRL: &x509.RevocationList{Raw: make([]byte, base)}, DeltaCRL: &x509.RevocationList{Raw: make([]byte, delta)}}
	}
	for url, b := range map[string]*crl.Bundle{"small": bundle(maxCachedListBytes, 0), "large": bundle(maxCachedListBytes, 1)} {
		if err := cache.Set(t.Context(), url, b); err != nil {
			t.Fatal(err)
		}
	}
	lists.Add("old", cachedList{bundle(1, 0), time.Now().Add(-maxListAge - time.Second)})
	for url, kept := range map[string]bool{"small": true, "large": false, "old": false, "never seen": false} {
		got, err := cache.Get(t.Context(), url)
		if (got != nil) != kept || (err == nil) != kept || err != nil && !errors.Is(err, crl.ErrCacheMiss) {
			t.Errorf("%s: %v, %v; want it kept: %t", url, got != nil, err, kept)
		}
	}
}
