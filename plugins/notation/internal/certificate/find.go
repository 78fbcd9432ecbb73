package certificate

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/wholefile"
)

// ErrMissing is wrapped by the error of Find if ForKey would make a certificate.
var ErrMissing = errors.New("there is no certificate of the key that can be used")

// Find returns the certificate that ForKey would, and changes nothing; need.Create is not used. An error that wraps ErrMissing says why the
// certificate that is there is not used, and wraps fs.ErrNotExist if none is. After any other error, ForKey would fail.
func (f Folder) Find(need Need) (Chain, error) {
	found, err := f.look(need)
	if err == nil && len(found.chain.Certificates) == 0 {
		err = fmt.Errorf("%w: %w", ErrMissing, found.unfit)
	}
	return found.chain, err
}

// found is what a directory has for a key.
type found struct {
	chain  Chain   // that can be used; without certificates if there is none
	before []byte  // what is in FileName
	old    Chain   // the same, read; without certificates if there is no such file
	unfit  error   // why chain is not from old
	others []Chain // what FileName was before, if chain is not from old
}

// look returns what is there, or an error if something is in the way of a new certificate.
func (f Folder) look(need Need) (found, error) {
	var l found
	var err error
	l.before, err = wholefile.Read(f.Path())
	switch {
	case err == nil:
		if l.old, err = Parse(l.before); err != nil {
			return found{}, fmt.Errorf("%s holds no certificate, so move it away: %w", f.Path(), err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return found{}, err
	}
	chain, unfit := fit(l.old, need)
	if unfit == nil {
		l.chain = chain
		return l, nil
	}
	l.unfit, l.others = unfit, f.kept()
	chain, ok := firstFit(l.others, need)
	if !ok && endless(l.old, need) {
		return found{}, fmt.Errorf("%s is for this key, and cannot be used, but is not ours to replace: mend it, or move it away to have a "+
			"self-signed one made: %w", f.Path(), unfit)
	}
	l.chain = chain // without certificates if !ok
	return l, nil
}
