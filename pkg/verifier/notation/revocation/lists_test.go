package revocation

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/notaryproject/notation-core-go/revocation/crl"
	"github.com/notaryproject/notation-core-go/revocation/result"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/testclock"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func TestListIsFetchedOnce(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byList(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { w.expect(t, leaf, result.ResultOK) })
	}
	wg.Wait()
	w.expect(t, w.byList(t), result.ResultOK)
	w.expectAsked(t, 1)
}

// Once a list is refreshAfter old, it is renewed in the background: whoever uses it meanwhile does not wait, and the renewal is made once.
func TestListIsRenewed(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byList(t)
	w.expect(t, leaf, result.ResultOK)
	w.responder.Revoke(leaf.Certificate())
	w.clock.Advance(refreshAfter - time.Second)
	w.expect(t, leaf, result.ResultOK)
	w.expectAsked(t, 1)

	release := make(chan struct{})
	w.responder.SetFault(func(http.ResponseWriter, *http.Request) bool {
		<-release
		return false
	})
	w.clock.Advance(time.Second)
	for range 5 {
		w.expect(t, leaf, result.ResultOK) // as before: the new list has not come
	}
	close(release)
	eventually(t, "the list is renewed", func() bool { number, _ := w.held(); return number == "2" })
	w.expect(t, leaf, result.ResultRevoked)
	w.expectAsked(t, 2)
}

// While an authority does not answer, its list serves until it ends.
func TestListServesUntilItsEnd(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byList(t)
	w.expect(t, leaf, result.ResultOK)
	w.responder.SetFault(down)
	w.clock.Advance(refreshAfter)
	w.expect(t, leaf, result.ResultOK)
	eventually(t, "the failure is logged", func() bool { return strings.Contains(w.log.String(), "cannot be renewed") })
	w.expect(t, leaf, result.ResultOK)
	w.expectAsked(t, 2) // not again before retryAfter
	w.clock.Advance(retryAfter)
	w.expect(t, leaf, result.ResultOK)
	eventually(t, "it is tried again", func() bool { return w.responder.Asked() == 3 })
	w.clock.Advance(time.Hour) // the end
	w.expect(t, leaf, result.ResultUnknown, "503")
}

// A list that somebody on the way put in place of the right one is not kept, whatever is wrong with it.
func TestFalseListDoesNotStick(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byList(t)
	stranger := newResponder(t, must(signing.Root("root"))(t))
	list := func(change func(*x509.RevocationList)) []byte {
		template := &x509.RevocationList{Number: big.NewInt(9), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour)}
		change(template)
		return must(x509.CreateRevocationList(rand.Reader, template, w.root.Certificate(), w.root.Key))(t)
	}
	withDelta := newResponder(t, w.root)
	withDelta.SetDelta()
	tests := map[string]struct {
		list  []byte
		words string
	}{
		"no list":           {[]byte("not a list"), "malformed"},
		"a stranger's":      {fetched(t, stranger.CRL()), "not signed by CN=root"},
		"ended":             {list(func(l *x509.RevocationList) { l.NextUpdate = time.Now().Add(-time.Minute) }), "ended on"},
		"from the future":   {list(func(l *x509.RevocationList) { l.ThisUpdate = time.Now().Add(30 * time.Minute) }), "check the clocks"},
		"its delta is none": {fetched(t, withDelta.CRL()), "delta list: the revocation list is not signed by"},
	}
	withDelta.SetFault(says(fetched(t, stranger.CRL())))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w.restart(t, t.TempDir())
			w.responder.SetFault(says(tt.list))
			w.expect(t, leaf, result.ResultUnknown, tt.words)
			w.responder.SetFault(nil)
			w.expect(t, leaf, result.ResultOK)
		})
	}
}

// A list that was valid once, and still is by its dates, does not hide a revocation that is known already.
func TestOlderListDoesNotReplaceNewer(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byList(t)
	old := fetched(t, w.responder.CRL())
	w.responder.Revoke(leaf.Certificate())
	w.expect(t, leaf, result.ResultRevoked)
	w.responder.SetFault(says(old))
	w.clock.Advance(refreshAfter)
	w.expect(t, leaf, result.ResultRevoked)
	eventually(t, "the older list is refused", func() bool { return strings.Contains(w.log.String(), "older than the one held") })
	w.expect(t, leaf, result.ResultRevoked)
}

// Whoever makes a certificate chooses which list it names: that of another authority, too.
func TestListOfAnotherAuthority(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byList(t)
	w.expect(t, leaf, result.ResultOK)
	stranger := must(signing.Root("stranger"))(t)
	theirs := must(stranger.Issue("theirs", signing.Options{CRL: []string{w.responder.CRL()}}))(t)
	w.expect(t, theirs, result.ResultUnknown, "not signed by CN=stranger")
	w.responder.SetFault(says(fetched(t, newResponder(t, stranger).CRL())))
	w.expect(t, theirs, result.ResultOK)
	w.expect(t, leaf, result.ResultOK)
	if number, ok := w.held(); !ok || number != "1" {
		t.Errorf("the list held has number %q, %t", number, ok)
	}
}

func TestDelta(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byList(t)
	w.responder.SetDelta()
	w.expect(t, leaf, result.ResultOK)
	w.expectAsked(t, 2)
	w.responder.Revoke(leaf.Certificate())
	w.clock.Advance(refreshAfter)
	w.expect(t, leaf, result.ResultOK)
	eventually(t, "both lists are renewed", func() bool { number, _ := w.held(); return number == "2" })
	w.expect(t, leaf, result.ResultRevoked)
}

func TestCheckDelta(t *testing.T) {
	w := newWorld(t, "")
	w.responder.SetDelta()
	parse := func(url string) *x509.RevocationList { return must(x509.ParseRevocationList(fetched(t, url)))(t) }
	delta := strings.Replace(w.responder.CRL(), "/crl", "/delta", 1)
	base1, delta1 := parse(w.responder.CRL()), parse(delta)
	w.responder.Forgive()
	w.responder.Forgive()
	base3, delta3 := parse(w.responder.CRL()), parse(delta)
	damaged := *delta1
	damaged.Extensions = append(damaged.Extensions[:0:0], damaged.Extensions...)
	for i := range damaged.Extensions {
		if damaged.Extensions[i].Id.Equal(oidDeltaCRLIndicator) {
			damaged.Extensions[i].Value = []byte("x")
		}
	}
	for name, tt := range map[string]struct {
		base, delta *x509.RevocationList
		words       string
	}{
		"right":                   {base1, delta1, ""},
		"older than its base":     {base3, delta1, "not greater than"},
		"for a later base":        {base1, delta3, "needs the base list 3"},
		"a base list":             {base1, base3, "does not say which base list"},
		"its base cannot be read": {base1, &damaged, "cannot be read"},
		"without a number":        {&x509.RevocationList{}, delta1, "not greater than"},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkDelta(&crl.Bundle{BaseCRL: tt.base, DeltaCRL: tt.delta})
			if (err == nil) != (tt.words == "") || err != nil && !strings.Contains(err.Error(), tt.words) {
				t.Errorf("checkDelta() = %v, want %q", err, tt.words)
			}
		})
	}
}

// The lists that trust anchors name are there before anybody asks, with the authority's certificate at hand or without.
func TestPrefetch(t *testing.T) {
	for _, known := range []bool{true, false} {
		w := newWorld(t, "")
		leaf := w.byList(t)
		intermediate := must(w.root.Issue("intermediate", signing.Options{Authority: true, CRL: []string{w.responder.CRL()}}))(t)
		anchors := certificates(intermediate)
		if known {
			anchors = append(anchors, w.root.Certificate())
		}
		for range 3 {
			w.Prefetch(t.Context(), anchors)
		}
		eventually(t, "the list comes", func() bool { return w.responder.Asked() > 0 && w.size() == 1 })
		w.expect(t, leaf, result.ResultOK)
		w.expectAsked(t, 1)
		if n := w.size(); n != 1 {
			t.Errorf("%d lists are held", n)
		}
	}
	t.Run("a false one is not used", func(t *testing.T) {
		w := newWorld(t, "")
		w.responder.SetFault(says(fetched(t, newResponder(t, must(signing.Root("stranger"))(t)).CRL())))
		w.Prefetch(t.Context(), certificates(w.byList(t)))
		eventually(t, "the list comes", func() bool { return w.size() == 1 })
		w.responder.SetFault(nil)
		w.expect(t, w.byList(t), result.ResultOK)
	})
	t.Run("a failure is told", func(t *testing.T) {
		w := newWorld(t, "")
		w.responder.SetFault(down)
		w.Prefetch(t.Context(), certificates(w.byList(t)))
		eventually(t, "it is logged", func() bool { return strings.Contains(w.log.String(), "cannot be fetched ahead") })
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Run renews lists that nobody uses.
func TestRun(t *testing.T) {
	root := must(signing.Root("root"))(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		fetches := 0
		client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			fetches++
			der := must(x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
				Number: big.NewInt(int64(fetches)), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(24 * time.Hour),
			}, root.Certificate(), root.Key))(t)
			return answer{status: http.StatusOK, body: der}.response(r), nil
		})}
		c := must(New(Options{HTTPClient: client}))(t)
		cert := must(root.Issue("intermediate", signing.Options{Authority: true, CRL: []string{"http://ca.example.com/crl"}}))(t)
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		c.Prefetch(t.Context(), certificates(cert, root))
		time.Sleep(3*time.Hour + time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if fewest, most := 1+int(3*time.Hour/(refreshAfter+checkEvery)), 1+int(3*time.Hour/refreshAfter); fetches < fewest || fetches > most {
			t.Errorf("%d fetches, want %d to %d", fetches, fewest, most)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m, now := newMemory(), time.Now()
	bundle := func(bytes, entries int) *crl.Bundle {
		return &crl.Bundle{BaseCRL: &x509.RevocationList{
			Raw: make([]byte, bytes), RevokedCertificateEntries: make([]x509.RevocationListEntry, entries), NextUpdate: now.Add(time.Hour),
		}}
	}
	key := func(i int) listKey { return listKey{url: string(rune('a' + i))} }
	for i := range 2 * maxLists {
		m.put(key(i), bundle(1, 1), nil, now)
		m.put(key(i), bundle(2, 2), nil, now)
	}
	if m.lists.Len() != maxLists || m.cost != maxLists*2*(1+entryCost) {
		t.Errorf("%d lists of cost %d", m.lists.Len(), m.cost)
	}
	m.get(key(maxLists), now)                      // the one used longest ago but for this
	m.put(key(maxLists+1), bundle(3, 2), nil, now) // renewed, and not used
	m.put(key(999), bundle(1, 0), nil, now)
	for i, want := range map[int]bool{maxLists: true, maxLists + 1: false, maxLists + 2: true} {
		if _, ok := m.lists.Peek(key(i)); ok != want {
			t.Errorf("list %d is held: %t", i, ok)
		}
	}
	m.put(key(1000), bundle(maxListsCost/2, 0), nil, now)
	m.put(key(1001), bundle(maxListsCost/2, 0), nil, now)
	if m.lists.Len() != 2 || m.cost != maxListsCost {
		t.Errorf("%d lists of cost %d", m.lists.Len(), m.cost)
	}
	if large := bundle(maxListsCost, 1); m.put(key(1002), large, nil, now) != large || m.lists.Len() != 2 {
		t.Errorf("%d lists after one that is too large", m.lists.Len())
	}
	if due := m.claimDue(now.Add(2 * time.Hour)); len(due) != 0 || m.lists.Len() != 0 || m.cost != 0 {
		t.Errorf("%d lists of cost %d after their end, %v due", m.lists.Len(), m.cost, due)
	}
}

func TestDueAt(t *testing.T) {
	now := testclock.At(time.Now()).Now()
	for life, want := range map[time.Duration]time.Duration{7 * 24 * time.Hour: refreshAfter, 20 * time.Minute: 5 * time.Minute} {
		base := &x509.RevocationList{NextUpdate: now.Add(30 * 24 * time.Hour)}
		b := &crl.Bundle{BaseCRL: base, DeltaCRL: &x509.RevocationList{NextUpdate: now.Add(life)}}
		if got := dueAt(b, now).Sub(now); got != want {
			t.Errorf("a list for %s is due after %s, want %s", life, got, want)
		}
	}
}
