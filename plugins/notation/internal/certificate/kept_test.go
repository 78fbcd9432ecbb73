package certificate

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func TestForKeyOfADirectoryThatCannotBeWritten(t *testing.T) {
	f, o, now := Folder(t.TempDir()), &owner{key: newKey(t)}, time.Now()
	official := must(chainOf(o, now))
	put(t, f.Path(), official)
	if err := os.Mkdir(filepath.Join(string(f), lockName), 0o755); err != nil { // cannot be opened as a file, not even by root
		t.Fatal(err)
	}
	chain, note, err := f.ForKey(t.Context(), o.need(now))
	if err != nil || note != "" || !chain.Leaf().Equal(official.Leaf()) {
		t.Errorf("%+v, %q, %v", chain, note, err)
	}
	other := &owner{key: newKey(t)}
	if _, _, err := f.ForKey(t.Context(), other.need(now)); err == nil || other.made != 0 || !strings.Contains(err.Error(), lockName) {
		t.Errorf("another key: made %d, %v", other.made, err)
	}
}

func TestForKeyLeavesLinks(t *testing.T) {
	f, o, now := Folder(t.TempDir()), &owner{key: newKey(t)}, time.Now()
	target := filepath.Join(t.TempDir(), "mounted.crt")
	put(t, target, must(chainOf(o, now)))
	if err := os.Symlink(target, f.Path()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.ForKey(t.Context(), o.need(now)); err != nil {
		t.Fatal(err)
	}
	if info := must(os.Lstat(f.Path())); info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %s", info.Mode())
	}
}

func TestForKeyDoesNotReplaceWhatIsTheKeysAndNotEnding(t *testing.T) {
	a, o, now := newAuthority(), &owner{key: newKey(t)}, time.Now()
	issued := func(v signing.Validity) []*x509.Certificate {
		return must(a.intermediate.Issue("signer", signing.Options{Signer: o.key, Validity: v})).Chain
	}
	for name, tt := range map[string]struct {
		certs []*x509.Certificate
		want  string
	}{
		"the clock is slow":       {must(chainOf(o, now.AddDate(0, 1, 0))).Certificates, "valid only from"},
		"for servers":             {must(signing.New("x", signing.Options{Signer: o.key, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})).Chain, "ServerAuth"},
		"issued, without issuers": {issued(signing.Validity{})[:1], "is missing"},
		"issued, expired":         {issued(signing.Validity{From: now.AddDate(-1, 0, 0), To: now.Add(-time.Hour)}), "expired on"},
	} {
		f := Folder(t.TempDir())
		o.made = 0
		put(t, f.Path(), Chain{Certificates: tt.certs})
		before := must(os.ReadFile(f.Path()))
		_, _, err := f.ForKey(t.Context(), o.need(now))
		if err == nil || o.made != 0 || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%s: made %d, %v", name, o.made, err)
		}
		if after := must(os.ReadFile(f.Path())); string(after) != string(before) || len(files(t, f)) != 1 {
			t.Errorf("%s: changed: %v", name, files(t, f))
		}
	}
}

func TestForKeyTellsTheFormer(t *testing.T) {
	f, o, other, now := Folder(t.TempDir()), &owner{key: newKey(t)}, &owner{key: newKey(t)}, time.Now()
	first, _ := o.get(t, f, now)
	need := other.need(now)
	need.Origin = Origin{Key: "key-hzz2"}
	need.Create = func(former *x509.Certificate) (*x509.Certificate, error) {
		if former != nil {
			t.Errorf("the former of another key is %s", former.Subject)
		}
		return other.need(now).Create(nil)
	}
	if _, _, err := f.ForKey(t.Context(), need); err != nil {
		t.Fatal(err)
	}
	for what, next := range map[string]Need{
		"the same key":          {Key: o.key.Public(), Now: first.Leaf().NotAfter},
		"a version of the key":  {Key: newKey(t).Public(), Origin: Origin{Key: "key-hzz1", Version: "2"}, Now: now},
		"the same key, renamed": {Key: o.key.Public(), Origin: Origin{Key: "x"}, Now: first.Leaf().NotAfter},
	} {
		asked := false
		next.Create = func(former *x509.Certificate) (*x509.Certificate, error) {
			asked = true
			if former == nil || !former.Equal(first.Leaf()) {
				t.Errorf("%s: the former certificate was not told", what)
			}
			return nil, errors.New("enough")
		}
		if _, _, err := f.ForKey(t.Context(), next); !asked {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestForKeyKeepsNamesakes(t *testing.T) {
	f, now := Folder(t.TempDir()), time.Now()
	one, two, three := &owner{key: newKey(t)}, &owner{key: newKey(t)}, &owner{key: newKey(t)}
	serial := func(o *owner) Chain {
		template := must(chainOf(o, now)).Leaf()
		template.SerialNumber = big.NewInt(1)
		return Chain{Certificates: []*x509.Certificate{must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, o.key.Public(), o.key))))}}
	}
	for _, o := range []*owner{one, two} {
		put(t, f.Path(), serial(o))
		three.get(t, f, now)
	}
	for i, o := range []*owner{one, two} {
		o.made = 0
		o.get(t, f, now)
		if o.made != 0 {
			t.Errorf("the certificate of key %d was lost: %v", i+1, files(t, f))
		}
	}
}

func TestForKeyKeepsWhatElseIsInTheFile(t *testing.T) {
	f, a, b, now := Folder(t.TempDir()), &owner{key: newKey(t)}, &owner{key: newKey(t)}, time.Now()
	put(t, f.Path(), Chain{Certificates: []*x509.Certificate{must(chainOf(a, now)).Leaf(), must(chainOf(b, now)).Leaf()}})
	for _, o := range []*owner{a, b, a} {
		o.made = 0
		if chain, note, err := f.ForKey(t.Context(), o.need(now)); err != nil || o.made != 0 || note != "" || !SameKey(chain.Leaf().PublicKey, o.key.Public()) {
			t.Errorf("made %d, %q, %v", o.made, note, err)
		}
	}
}

func put(t *testing.T, path string, chain Chain) {
	t.Helper()
	if err := os.WriteFile(path, chain.Encode(), 0o644); err != nil {
		t.Fatal(err)
	}
}
