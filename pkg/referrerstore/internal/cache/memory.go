package cache

import (
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// entryCost is about what an entry takes besides its key and value: its place in the map and in the list, and this package's fields.
const entryCost = 200

// Memory keeps the most recently used values whose costs add up to at most a maximum. Make one with NewMemory.
// A Memory is safe for concurrent use. Values are shared between callers, who must not change them.
type Memory[V any] struct {
	maxCost int64
	ttl     time.Duration
	now     func() time.Time

	mu    sync.Mutex
	cost  int64
	items *simplelru.LRU[string, item[V]]
}

type item[V any] struct {
	value V
	cost  int64
	ends  time.Time // zero: never
}

// NewMemory returns an empty cache for values of maxCost bytes in all. Values end ttl after they were put; zero means never.
func NewMemory[V any](maxCost int64, ttl time.Duration, now func() time.Time) *Memory[V] {
	m := &Memory[V]{maxCost: maxCost, ttl: ttl, now: now}
	// The only error of NewLRU is a size that is not positive. The number of items is bounded by their cost.
	m.items, _ = simplelru.NewLRU(math.MaxInt, func(_ string, i item[V]) { m.cost -= i.cost })
	return m
}

// Get returns the value of key, if it is there and has not ended.
func (m *Memory[V]) Get(key string) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i, ok := m.items.Get(key)
	if ok && !i.ends.IsZero() && !m.now().Before(i.ends) {
		m.items.Remove(key)
		ok = false
	}
	if !ok {
		var none V
		return none, false
	}
	return i.value, true
}

// Put keeps value under key, dropping what was used least recently to make room, and what has ended. cost is the bytes that the value takes; those of
// the key and the entry are added to it. A value that costs more than the whole cache may hold is not kept.
func (m *Memory[V]) Put(key string, value V, cost int64) {
	cost += int64(len(key)) + entryCost
	if cost > m.maxCost {
		return
	}
	i := item[V]{value: value, cost: cost}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items.Remove(key)
	if m.ttl > 0 {
		now := m.now()
		i.ends = now.Add(m.ttl)
		m.dropEnded(now)
	}
	for m.cost+cost > m.maxCost {
		m.items.RemoveOldest()
	}
	m.items.Add(key, i)
	m.cost += cost
}

// dropEnded drops what has ended, from the one used least recently to the first that has not. All values live equally long, so that one that was used
// since it was put hides others behind it for no longer than that.
func (m *Memory[V]) dropEnded(now time.Time) {
	for {
		key, oldest, ok := m.items.GetOldest()
		if !ok || now.Before(oldest.ends) {
			return
		}
		m.items.Remove(key)
	}
}
