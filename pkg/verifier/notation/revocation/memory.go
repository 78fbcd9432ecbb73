package revocation

import (
	"crypto/sha256"
	"crypto/x509"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/notaryproject/notation-core-go/revocation/crl"
)

const (
	// maxLists and maxListsCost bound the lists in memory. A cluster meets a few, of a few KiB each; whoever can push images can name others.
	maxLists     = 64
	maxListsCost = 64 << 20

	// entryCost and extensionCost are about what a parsed entry of a list, and an extension of one, takes in memory besides its bytes.
	entryCost     = 176
	extensionCost = 112

	// refreshAfter is how old a list may get before it is fetched again in the background. Authorities publish lists before nextUpdate when
	// they revoke something. Lists that live less than 40 minutes are renewed after a quarter of that.
	refreshAfter = 10 * time.Minute

	// retryAfter is the pause after an attempt to renew a list.
	retryAfter = time.Minute
)

// listKey names a list as one authority's. Whoever makes a certificate chooses what URL it names: it may be one of somebody else's list.
type listKey struct {
	url    string
	issuer [sha256.Size]byte // of the authority's certificate; zero for a list whose authority is not known yet
}

func keyOf(url string, issuer *x509.Certificate) listKey {
	return listKey{url, sha256.Sum256(issuer.Raw)}
}

// heldList is a list in memory.
type heldList struct {
	bundle *crl.Bundle
	issuer *x509.Certificate // that signed it; nil when not known yet
	due    time.Time         // when to fetch it again
	cost   int

	version uint64 // of what is held, different each time that something is put; lists that are not held have 0
}

// memory holds the lists used last.
type memory struct {
	mu    sync.Mutex
	lists *simplelru.LRU[listKey, *heldList]
	cost  int
	limit int // of cost

	version uint64 // of what was put last
}

func newMemory() *memory {
	m := &memory{limit: maxListsCost}
	// The only error is a size that is not positive. The number is bounded in put, together with the cost.
	m.lists, _ = simplelru.NewLRU(math.MaxInt, func(_ listKey, held *heldList) { m.cost -= held.cost })
	return m
}

// get returns a list that is in date at now, without a bundle if there is none, and whether it is to be renewed. Only one caller is told to, who
// then has retryAfter for it.
func (m *memory) get(key listKey, now time.Time) (list heldList, renew bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	held, ok := m.lists.Get(key)
	if !ok {
		return heldList{}, false
	}
	if now.After(ends(held.bundle)) {
		m.lists.Remove(key)
		return heldList{}, false
	}
	renew = held.claim(now)
	return *held, renew
}

// versionOf returns the version of a list if it is the one held, and 0 otherwise.
func (m *memory) versionOf(key listKey, bundle *crl.Bundle) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if held, ok := m.lists.Peek(key); ok && held.bundle == bundle {
		return held.version
	}
	return 0
}

func (h *heldList) claim(now time.Time) bool {
	if now.Before(h.due) {
		return false
	}
	h.due = now.Add(retryAfter)
	return true
}

// put keeps a list that is to be renewed when due, and returns the one to use: a newer one stays. A list that is too large is not kept.
func (m *memory) put(key listKey, bundle *crl.Bundle, issuer *x509.Certificate, due time.Time) *crl.Bundle {
	m.mu.Lock()
	defer m.mu.Unlock()
	held, ok := m.lists.Peek(key)
	if ok && older(bundle, held.bundle) {
		held.due = due
		return held.bundle
	}
	cost := costOf(bundle)
	m.version++
	next := heldList{bundle: bundle, issuer: issuer, due: due, cost: cost, version: m.version}
	switch {
	case cost > m.limit:
		m.lists.Remove(key)
		return bundle
	case ok: // being renewed is not being used: it keeps its place
		m.cost -= held.cost
		*held = next
	default:
		m.lists.Add(key, &next)
	}
	for m.cost += cost; m.lists.Len() > maxLists || m.cost > m.limit; {
		m.lists.RemoveOldest()
	}
	return bundle
}

// claimDue returns the authorities of the lists that are due at now, as get does for one, and drops the lists that have ended.
func (m *memory) claimDue(now time.Time) map[listKey]*x509.Certificate {
	m.mu.Lock()
	defer m.mu.Unlock()
	due := make(map[listKey]*x509.Certificate)
	for _, key := range m.lists.Keys() {
		held, _ := m.lists.Peek(key)
		if now.After(ends(held.bundle)) {
			m.lists.Remove(key)
		} else if held.claim(now) {
			due[key] = held.issuer
		}
	}
	return due
}

// remove drops a list.
func (m *memory) remove(key listKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lists.Remove(key)
}

// fits reports whether a list can be held. One that cannot is fetched each time: nothing would renew what was found on the disk.
func (m *memory) fits(b *crl.Bundle) bool { return costOf(b) <= m.limit }

func costOf(b *crl.Bundle) int {
	cost := 0
	for _, list := range []*x509.RevocationList{b.BaseCRL, b.DeltaCRL} {
		if list == nil {
			continue
		}
		cost += len(list.Raw) + entryCost*len(list.RevokedCertificateEntries)
		for i := range list.RevokedCertificateEntries {
			cost += extensionCost * len(list.RevokedCertificateEntries[i].Extensions)
		}
	}
	return cost
}

// dueAt returns when to renew a list that came at now.
func dueAt(b *crl.Bundle, now time.Time) time.Time {
	return now.Add(min(refreshAfter, ends(b).Sub(now)/4))
}

func (k listKey) String() string { return string(k.issuer[:]) + k.url }
