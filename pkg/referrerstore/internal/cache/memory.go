package cache

import (
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

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

// NewMemory returns an empty cache for values of maxCost in all. Values end ttl after they were put; zero means never.
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

// Put keeps value under key, dropping what was used least recently to make room. The cost of the key is added to the
// value's; a value that costs more than the whole cache may hold is not kept.
func (m *Memory[V]) Put(key string, value V, cost int64) {
	cost += int64(len(key))
	if cost > m.maxCost {
		return
	}
	i := item[V]{value: value, cost: cost}
	if m.ttl > 0 {
		i.ends = m.now().Add(m.ttl)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items.Remove(key)
	for m.cost+cost > m.maxCost {
		m.items.RemoveOldest()
	}
	m.items.Add(key, i)
	m.cost += cost
}
