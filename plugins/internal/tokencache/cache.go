package tokencache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"
)

const (
	// margin is how long before its end a value is not used any more. A run takes 30 s at most, and clocks may differ.
	margin = time.Minute
	// maxLife is the longest life that is believed: sessions, which no password outlives, last 12 h at most.
	maxLife = 12 * time.Hour
)

// cache keeps values of one kind in a directory.
type cache[V any] struct {
	kind  string       // begins the names of the files
	valid func(V) bool // whether a value has all that it needs
	dir   *Directory
	now   func() time.Time
	log   *slog.Logger
}

// entry is the content of a file.
type entry[V any] struct {
	Key     string    `json:"key"` // what it is for: a file of that name may be anything
	Fetched time.Time `json:"fetched"`
	Expires time.Time `json:"expires"`
	Value   V         `json:"value"`
}

// get returns what is kept for key, or else what fetch returns with its end. Its errors are fetch's.
func (c cache[V]) get(ctx context.Context, key string, fetch func(context.Context) (V, time.Time, error)) (V, time.Time, error) {
	kept, ok, err := c.kept(key)
	if err != nil {
		c.log.Warn("a file of the cache is ignored", "tokenCache", c.path(key), "error", err)
	}
	if ok {
		return kept.Value, kept.Expires, nil
	}
	defer c.dir.lock(ctx, c.name(key))()
	if kept, ok, _ := c.kept(key); ok { // by a run that held the lock
		return kept.Value, kept.Expires, nil
	}
	value, expires, err := fetch(ctx)
	if err == nil {
		c.keep(key, entry[V]{hash(key), c.now(), expires, value})
	}
	return value, expires, err
}

// drop removes what is kept for key if it is bad. What cannot be removed is used until its end.
func (c cache[V]) drop(key string, bad func(entry[V]) bool) {
	if kept, ok, _ := c.kept(key); ok && bad(kept) {
		if err := c.dir.remove(c.name(key)); err != nil {
			c.log.Warn("a "+c.kind+" that a service refused could not be removed: remove it by hand", "tokenCache", c.path(key), "error", err)
		}
	}
}

// kept returns an entry, and whether it can be used. An error says what is wrong with a file that cannot.
func (c cache[V]) kept(key string) (e entry[V], ok bool, err error) {
	content, err := c.dir.read(c.name(key))
	if errors.Is(err, fs.ErrNotExist) {
		return e, false, nil
	} else if err != nil {
		return e, false, err
	}
	if json.Unmarshal(content, &e) != nil { // whose error may quote a secret
		return e, false, errors.New("it is not an entry of the cache")
	}
	now := c.now()
	switch {
	case e.Key != hash(key):
		return e, false, errors.New("it is of something else than its name says")
	case !c.valid(e.Value):
		return e, false, errors.New("it is incomplete")
	case e.Fetched.After(now) || e.Expires.Sub(e.Fetched) > maxLife:
		return e, false, fmt.Errorf("it says that it is good from %s to %s", e.Fetched.UTC().Format(time.RFC3339), e.Expires.UTC().Format(time.RFC3339))
	}
	return e, now.Before(e.Expires.Add(-margin)), nil
}

func (c cache[V]) keep(key string, e entry[V]) {
	if !c.now().Before(e.Expires.Add(-margin)) {
		return // it would not be used
	}
	content, err := json.Marshal(e)
	if err == nil {
		err = c.dir.write(c.name(key), content)
	}
	if err != nil {
		c.log.Warn("a "+c.kind+" could not be kept for the next run", "tokenCache", c.dir.path, "error", err)
	}
}

// name returns the name of the entry for key, less its suffix.
func (c cache[V]) name(key string) string { return c.kind + "-" + hash(key)[:nameDigits] }

// path returns the path of the entry for key, for logs.
func (c cache[V]) path(key string) string { return filepath.Join(c.dir.path, c.name(key)+entrySuffix) }

// hash returns what stands for a key, which may be long.
func hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}
