package certificate

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

// Find foretells what ForKey does, and changes nothing.
func TestFind(t *testing.T) {
	o, other, now := &owner{key: newKey(t)}, &owner{key: newKey(t)}, time.Now()
	for name, tt := range map[string]struct {
		before func(f Folder)
		want   string // in the error
		absent bool   // the error says that there is none
		fails  bool   // so will ForKey
	}{
		"empty":                 {func(Folder) {}, "does not exist", true, false},
		"the key's":             {func(f Folder) { o.get(t, f, now) }, "", false, false},
		"the key's, kept":       {func(f Folder) { o.get(t, f, now); other.get(t, f, now) }, "", false, false},
		"of another key":        {func(f Folder) { other.get(t, f, now) }, "none of the certificates is for the KMS key", false, false},
		"expired":               {func(f Folder) { o.get(t, f, now.AddDate(-2, 0, 0)) }, "expired on", false, false},
		"from a later day":      {func(f Folder) { put(t, f.Path(), must(chainOf(o, now.AddDate(0, 1, 0)))) }, "move it away", false, true},
		"something else":        {func(f Folder) { must(0, os.WriteFile(f.Path(), []byte("hello"), 0o600)) }, "move it away", false, true},
		"a folder of that name": {func(f Folder) { must(0, os.Mkdir(f.Path(), 0o700)) }, "not a regular file", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := Folder(t.TempDir())
			tt.before(f)
			before := files(t, f)
			chain, err := f.Find(o.need(now))
			if after := files(t, f); strings.Join(after, " ") != strings.Join(before, " ") {
				t.Errorf("%v became %v", before, after)
			}
			made := o.made
			used, _, failed := f.ForKey(t.Context(), o.need(now))
			switch {
			case tt.want == "":
				if err != nil || failed != nil || !chain.Leaf().Equal(used.Leaf()) || o.made != made {
					t.Errorf("%v, and ForKey: %v", err, failed)
				}
			case !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrMissing) == tt.fails || errors.Is(err, fs.ErrNotExist) != tt.absent:
				t.Errorf("%v; want %q", err, tt.want)
			case (failed != nil) != tt.fails || (o.made > made) == tt.fails:
				t.Errorf("%v, and ForKey: %v", err, failed)
			}
		})
	}
}
