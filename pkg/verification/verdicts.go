package verification

import (
	"encoding/json"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

const (
	// maxRemembered bounds the verdicts an Engine remembers: a cluster of 8,000 distinct images is larger than most.
	maxRemembered = 8192
	// maxRememberedBytes bounds their size as JSON, of which an ordinary verdict has 1 to 2 KiB. One about an image with hundreds
	// of referrers has hundreds of KiB, and who makes images decides how many those are.
	maxRememberedBytes = 16 << 20
)

// verdicts remembers verdicts by subject, each until its time, and drops those asked for least recently. It is safe for concurrent use.
type verdicts struct {
	entries *lru.Cache[string, remembered]
	bytes   atomic.Int64
}

type remembered struct {
	verdict Verdict
	until   time.Time
	bytes   int64
}

func newVerdicts() *verdicts {
	v := &verdicts{}
	entries, err := lru.NewWithEvict(maxRemembered, func(_ string, r remembered) { v.bytes.Add(-r.bytes) })
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	v.entries = entries
	return v
}

func (v *verdicts) get(key string, now time.Time) (Verdict, bool) {
	known, ok := v.entries.Get(key)
	if !ok || !now.Before(known.until) {
		return Verdict{}, false
	}
	return known.verdict, true
}

func (v *verdicts) put(key string, verdict Verdict, until time.Time) {
	reports, err := json.Marshal(verdict.Reports)
	if size := int64(len(reports)); err == nil && size <= maxRememberedBytes {
		v.entries.Remove(key) // an entry that is replaced would not be counted out
		if there, _ := v.entries.ContainsOrAdd(key, remembered{verdict, until, size}); !there {
			v.bytes.Add(size)
		}
		for v.bytes.Load() > maxRememberedBytes {
			v.entries.RemoveOldest()
		}
	}
}
