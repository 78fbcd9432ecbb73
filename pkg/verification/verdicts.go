package verification

import (
	"strconv"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/ratify-project/ratify/pkg/common"
)

const (
	// maxRemembered bounds the verdicts an Engine remembers: a cluster of 8,000 distinct images is larger than most.
	maxRemembered = 8192
	// maxRememberedBytes bounds the size of their reports, of which an ordinary verdict has 1 to 2 KiB. One about an image with hundreds
	// of referrers has hundreds of KiB, and who makes images decides how many those are.
	maxRememberedBytes = 16 << 20
)

// verdictKey is what a verdict is about: a subject, by digest, as a scope sees it that is asked for it by a tag, or none.
type verdictKey struct {
	scope        uint64
	tag, subject string
}

func keyOf(scope *numbered, ref common.Reference) verdictKey {
	return verdictKey{scope.number, ref.Tag, ref.Original}
}

// String returns a text that only this key has.
func (k verdictKey) String() string {
	return strconv.FormatUint(k.scope, 10) + "|" + k.tag + "|" + k.subject
}

// verdicts remembers verdicts, each until its time, and drops those asked for least recently. It is safe for concurrent use.
type verdicts struct {
	entries *lru.Cache[verdictKey, remembered]
	bytes   atomic.Int64
}

type remembered struct {
	verdict Verdict
	until   time.Time
	bytes   int64
}

func newVerdicts() *verdicts {
	v := &verdicts{}
	entries, err := lru.NewWithEvict(maxRemembered, func(_ verdictKey, r remembered) { v.bytes.Add(-r.bytes) })
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	v.entries = entries
	return v
}

func (v *verdicts) get(key verdictKey, now time.Time) (Verdict, bool) {
	known, ok := v.entries.Get(key)
	if !ok || !now.Before(known.until) {
		return Verdict{}, false
	}
	return known.verdict, true
}

// put remembers a verdict for some time, and drops those whose time has passed, from the one asked for least recently to the first whose time has not.
func (v *verdicts) put(key verdictKey, verdict Verdict, now time.Time, ttl time.Duration) {
	for {
		if _, oldest, ok := v.entries.GetOldest(); !ok || now.Before(oldest.until) {
			break
		}
		v.entries.RemoveOldest()
	}
	size := verdict.ReportBytes()
	if size > maxRememberedBytes {
		return
	}
	v.entries.Remove(key) // an entry that is replaced would not be counted out
	if there, _ := v.entries.ContainsOrAdd(key, remembered{verdict, now.Add(ttl), size}); !there {
		v.bytes.Add(size)
	}
	for v.bytes.Load() > maxRememberedBytes {
		v.entries.RemoveOldest()
	}
}
