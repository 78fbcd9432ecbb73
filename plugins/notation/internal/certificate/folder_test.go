package certificate

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// owner is a key that needs its certificate, and counts how often one is made.
type owner struct {
	key  *ecdsa.PrivateKey
	made int
}

func (o *owner) need(now time.Time) Need {
	return Need{Key: o.key.Public(), Origin: Origin{Key: "key-hzz1", Version: "1"}, Now: now, Create: func(*x509.Certificate) (*x509.Certificate, error) {
		o.made++
		return Create(o.key, Options{Subject: DefaultSubject(), Validity: DefaultValidity, Now: now})
	}}
}

func (o *owner) get(t *testing.T, f Folder, now time.Time) (Chain, string) {
	t.Helper()
	chain, note, err := f.ForKey(t.Context(), o.need(now))
	if err != nil {
		t.Fatal(err)
	}
	written, err := f.Current(now)
	if err != nil || !written.Leaf().Equal(chain.Leaf()) || written.Origin != chain.Origin || !SameKey(written.Leaf().PublicKey, o.key.Public()) {
		t.Fatalf("the file holds %+v, %v; want what was returned", written, err)
	}
	return chain, note
}

func files(t *testing.T, f Folder) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(string(f))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Name() != lockName {
			names = append(names, entry.Name())
		}
	}
	return names
}

func TestForKeyMakesOneAndUsesItAgain(t *testing.T) {
	f, o, now := Folder(t.TempDir()), &owner{key: newKey(t)}, time.Now()
	first, note := o.get(t, f, now)
	if !strings.Contains(note, "trust anchor") || !strings.Contains(note, Serial(first.Leaf())) {
		t.Errorf("note %q", note)
	}
	if info, err := os.Stat(f.Path()); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
	again, note := o.get(t, f, now.AddDate(0, 11, 0))
	if o.made != 1 || note != "" || !again.Leaf().Equal(first.Leaf()) {
		t.Errorf("made %d, note %q", o.made, note)
	}
}

func TestForKeyAdoptsWhatIsThere(t *testing.T) {
	now := time.Now()
	for name, path := range map[string]string{"of the official plugin": FileName, "kept aside": "signer-1.crt"} {
		f, o := Folder(t.TempDir()), &owner{key: newKey(t)}
		official := must(signing.New("notation", signing.Options{Signer: o.key})).Chain
		if err := os.WriteFile(filepath.Join(string(f), path), Chain{Certificates: official}.Encode(), 0o644); err != nil {
			t.Fatal(err)
		}
		chain, note := o.get(t, f, now)
		if o.made != 0 || note != "" || !chain.Leaf().Equal(official[0]) || chain.Origin.Version != "1" {
			t.Errorf("%s: made %d, note %q, %+v", name, o.made, note, chain.Origin)
		}
	}
}

func TestForKeyKeepsWhatItReplaces(t *testing.T) {
	f, a, b, now := Folder(t.TempDir()), &owner{key: newKey(t)}, &owner{key: newKey(t)}, time.Now()
	of := make(map[*owner]*x509.Certificate)
	for range 3 { // two keys take turns in one directory
		for _, o := range []*owner{a, b} {
			chain, _ := o.get(t, f, now)
			if of[o] != nil && !of[o].Equal(chain.Leaf()) {
				t.Error("another certificate of the same key")
			}
			of[o] = chain.Leaf()
		}
	}
	if a.made != 1 || b.made != 1 || len(files(t, f)) != 3 {
		t.Errorf("made %d and %d; files %v", a.made, b.made, files(t, f))
	}

	late := of[a].NotAfter.Add(-23 * time.Hour)
	renewed, note := a.get(t, f, late)
	if a.made != 2 || renewed.Leaf().Equal(of[a]) || !strings.Contains(note, "signer-"+Serial(of[b])) {
		t.Errorf("a day before its end: made %d, note %q", a.made, note)
	}
	for _, old := range of {
		kept, err := Read(filepath.Join(string(f), "signer-"+Serial(old)+".crt"))
		if err != nil || !kept.Leaf().Equal(old) {
			t.Errorf("lost: %v", err)
		}
	}
}

func TestForKeyTouchesNothingWhenItFails(t *testing.T) {
	f, o, now := Folder(t.TempDir()), &owner{key: newKey(t)}, time.Now()
	if err := os.WriteFile(f.Path(), []byte("notes of mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.ForKey(t.Context(), o.need(now)); err == nil || !strings.Contains(err.Error(), "move it away") || !strings.Contains(err.Error(), f.Path()) {
		t.Errorf("garbage: %v", err)
	}
	other := &owner{key: newKey(t)}
	if err := os.WriteFile(f.Path(), must(chainOf(other, now)).Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	before := must(os.ReadFile(f.Path()))
	need := o.need(now)
	need.Create = func(*x509.Certificate) (*x509.Certificate, error) { return nil, errors.New("KMS is down") }
	if _, _, err := f.ForKey(t.Context(), need); err == nil || err.Error() != "KMS is down" {
		t.Errorf("got %v", err)
	}
	if after := must(os.ReadFile(f.Path())); string(after) != string(before) || len(files(t, f)) != 1 {
		t.Errorf("changed: %v", files(t, f))
	}
	if _, _, err := Folder(filepath.Join(string(f), "absent")).ForKey(t.Context(), need); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("no directory: %v", err)
	}
}

func chainOf(o *owner, now time.Time) (Chain, error) {
	cert, err := o.need(now).Create(nil)
	return Chain{Certificates: []*x509.Certificate{cert}}, err
}

func TestForKeyAtOnce(t *testing.T) {
	f, o, now := Folder(t.TempDir()), &owner{key: newKey(t)}, time.Now()
	var wg sync.WaitGroup
	serials := make([]string, 8)
	for i := range serials {
		wg.Go(func() {
			chain, _, err := f.ForKey(t.Context(), o.need(now)) // made is counted under the lock
			if err != nil {
				t.Error(err)
				return
			}
			serials[i] = Serial(chain.Leaf())
		})
	}
	wg.Wait()
	for _, serial := range serials {
		if serial != serials[0] {
			t.Errorf("different certificates: %v", serials)
			break
		}
	}
	if o.made != 1 || len(files(t, f)) != 1 {
		t.Errorf("made %d; files %v", o.made, files(t, f))
	}
}

func TestForKeyDoesNotWaitForEver(t *testing.T) {
	f, o := Folder(t.TempDir()), &owner{key: newKey(t)}
	unlock, err := lock(t.Context(), filepath.Join(string(f), lockName))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := f.ForKey(ctx, o.need(time.Now())); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "waiting for another signature") {
		t.Errorf("got %v", err)
	}
}
