package certificate

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/printable"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/plugins/notation/internal/wholefile"
)

// FileName is that of the certificate of signatures, as Alibaba Cloud's own plugin names it.
const FileName = "signer.crt"

const lockName = "." + FileName + ".lock"

// Folder is the path of the directory that FileName is in. Beside it are the certificates that it held before, as signer-<serial number>.crt:
// they may be trust anchors, and keys that share the directory find theirs again.
type Folder string

// Path is that of the certificate.
func (f Folder) Path() string { return filepath.Join(string(f), FileName) }

// Current returns the certificate that is there, if it can be used now. Which key it is for is not known before a signature proves it.
func (f Folder) Current(now time.Time) (Chain, error) {
	chain, err := Read(f.Path())
	if err != nil {
		return Chain{}, err
	}
	return chain, usable(chain.Certificates, now)
}

// Need is what ForKey is to find or make a certificate for.
type Need struct {
	Key    crypto.PublicKey
	Origin Origin // of Key, to be written down with the certificate
	Now    time.Time
	// Create makes a certificate. former is the key's one before, whose subject trust policies may name; nil if there is none.
	Create func(former *x509.Certificate) (*x509.Certificate, error)
}

// ForKey returns the certificate of a key: the one that is there, or one that was there before and can still be used, or a new one. It is
// FileName then, and what that held is kept. The note says what verifiers must be told of, and is empty if nothing changed for them. Of
// several processes, one makes the certificate, and the others use it. In a directory that cannot be written to, what is there can be used.
func (f Folder) ForKey(ctx context.Context, need Need) (chain Chain, note string, err error) {
	unlock, err := lock(ctx, filepath.Join(string(f), lockName))
	if err != nil {
		if chain, missing := f.Find(need); missing == nil && ctx.Err() == nil { // the directory may be a mounted secret
			return chain, "", nil
		}
		return Chain{}, "", err
	}
	defer unlock()
	found, err := f.look(need)
	if err != nil {
		return Chain{}, "", err
	}
	chain, old := found.chain, found.old
	if found.unfit == nil {
		if len(chain.Certificates) == len(old.Certificates) { // else there are others', too, which would be lost
			chain = f.writeDown(chain, need.Origin)
		}
		return chain, "", nil
	}
	if len(chain.Certificates) == 0 {
		cert, err := need.Create(former(append(found.others, old), need))
		if err != nil {
			return Chain{}, "", err
		}
		chain = Chain{Certificates: []*x509.Certificate{cert}, Origin: need.Origin}
		note = fmt.Sprintf("%s is a new certificate, serial number %s: verifiers need it as a trust anchor", f.Path(), Serial(cert))
	}
	if len(old.Certificates) > 0 {
		aside := f.aside(old)
		if err := wholefile.Write(aside, found.before, 0o644); err != nil {
			return Chain{}, "", err
		}
		if note != "" {
			note += fmt.Sprintf("; the former one is kept as %s (%v)", aside, found.unfit)
		}
	}
	return chain, note, wholefile.Write(f.Path(), chain.Encode(), 0o644)
}

// writeDown has the next signature need no look-up. That is nothing to fail for, and a link stays a link.
func (f Folder) writeDown(chain Chain, origin Origin) Chain {
	if chain.Origin == origin {
		return chain
	}
	chain.Origin = origin
	if info, err := os.Lstat(f.Path()); err == nil && info.Mode().IsRegular() {
		_ = wholefile.Write(f.Path(), chain.Encode(), 0o644)
	}
	return chain
}

// fit returns the chain in order if it can be used with the key now, or why not.
func fit(chain Chain, need Need) (Chain, error) {
	if len(chain.Certificates) == 0 {
		return chain, fs.ErrNotExist
	}
	ordered, err := Order(chain.Certificates, need.Key, need.Now)
	if err != nil {
		return chain, err
	}
	chain.Certificates = ordered
	return chain, usable(ordered, need.Now)
}

func usable(chain []*x509.Certificate, now time.Time) error {
	if err := Check(chain, now); err != nil {
		return err
	}
	if left := chain[0].NotAfter.Sub(now); left < renewBefore {
		return fmt.Errorf("the certificate of %q ends in less than a day, on %s", printable.Line(chain[0].Subject.String()), chain[0].NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// lock waits until no other process holds the lock of the file at path.
func lock(ctx context.Context, path string) (unlock func(), err error) {
	type held struct {
		unlock func()
		err    error
	}
	done := make(chan held, 1)
	go func() {
		unlock, err := lockedfile.MutexAt(path).Lock()
		done <- held{unlock, err}
	}()
	select {
	case h := <-done:
		if h.err != nil {
			return nil, fmt.Errorf("the certificate is kept there, so it must be a directory that can be written to: %w", h.err)
		}
		return h.unlock, nil
	case <-ctx.Done():
		go func() {
			if h := <-done; h.err == nil {
				h.unlock()
			}
		}()
		return nil, fmt.Errorf("waiting for another signature, which holds %s: %w", path, ctx.Err())
	}
}
