package revocation

import (
	"context"
	"crypto/x509"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/purpose"
	"github.com/notaryproject/notation-core-go/revocation/result"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

func questionOf(signer signing.Identity) Question {
	return QuestionOf(purpose.CodeSigning, revocation.ValidateContextOptions{CertChain: signer.Chain})
}

func (w *world) expectGood(t *testing.T, signer signing.Identity, want bool) {
	t.Helper()
	if got := w.Good(t.Context(), questionOf(signer)); got != want {
		t.Errorf("known to be good: %t, want %t", got, want)
	}
}

// TestFinding has chains that were found good, and all that ends it. The check that follows must find what it would have found without.
func TestFinding(t *testing.T) {
	tests := map[string]struct {
		signer func(*world, testing.TB) signing.Identity
		spoil  func(*testing.T, *world, signing.Identity)
		good   bool // still
		want   result.Result
	}{
		"names no responder": {func(w *world, t testing.TB) signing.Identity { return must(w.root.Issue("leaf", signing.Options{}))(t) },
			func(_ *testing.T, w *world, _ signing.Identity) { w.clock.Advance(1000 * time.Hour) }, true, result.ResultNonRevokable},
		"answer": {(*world).byOCSP, func(_ *testing.T, w *world, leaf signing.Identity) {
			w.responder.Revoke(leaf.Certificate())
			w.clock.Advance(maxAnswerAge - time.Second)
		}, true, result.ResultOK},
		"answer to be asked for again": {(*world).byOCSP, func(_ *testing.T, w *world, leaf signing.Identity) {
			w.responder.Revoke(leaf.Certificate())
			w.clock.Advance(maxAnswerAge)
		}, false, result.ResultRevoked},
		"answer that ended": {(*world).byOCSP, func(_ *testing.T, w *world, _ signing.Identity) {
			w.responder.SetFault(down)
			w.clock.Advance(24 * time.Hour)
		}, false, result.ResultUnknown},
		"answer that was dropped": {(*world).byOCSP, func(_ *testing.T, w *world, leaf signing.Identity) {
			w.responder.Revoke(leaf.Certificate())
			w.answers().kept.Purge()
		}, false, result.ResultRevoked},
		"answer that another replaced": {(*world).byOCSP, func(_ *testing.T, w *world, leaf signing.Identity) {
			a := w.answers()
			key := a.kept.Keys()[0]
			held, _ := a.kept.Get(key)
			held.version, held.askAgain = 0, held.askAgain.Add(time.Second)
			a.keep(key, held)
		}, false, result.ResultOK},
		"list": {(*world).byList, func(_ *testing.T, w *world, leaf signing.Identity) {
			w.responder.Revoke(leaf.Certificate())
			w.clock.Advance(refreshAfter - time.Second)
		}, true, result.ResultOK},
		"list that was renewed": {(*world).byList, func(t *testing.T, w *world, leaf signing.Identity) {
			w.responder.Revoke(leaf.Certificate())
			w.clock.Advance(refreshAfter)
			w.expectGood(t, leaf, true) // as a check would find: the new list has not come, but it is being fetched
			eventually(t, "the list is renewed", func() bool { number, _ := w.held(); return number == "2" })
		}, false, result.ResultRevoked},
		"list that ended": {(*world).byList, func(_ *testing.T, w *world, _ signing.Identity) {
			w.responder.SetFault(down)
			w.clock.Advance(24 * time.Hour)
		}, false, result.ResultUnknown},
		"list that was dropped": {(*world).byList, func(_ *testing.T, w *world, leaf signing.Identity) {
			w.responder.Revoke(leaf.Certificate())
			w.lists.memory.remove(keyOf(w.responder.CRL(), w.root.Certificate()))
		}, false, result.ResultRevoked},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			leaf := tt.signer(w, t)
			w.expectGood(t, leaf, false)
			first := must(w.Signing().ValidateContext(t.Context(), revocation.ValidateContextOptions{CertChain: leaf.Chain}))(t)
			w.expectGood(t, leaf, true)
			again := must(w.Signing().ValidateContext(t.Context(), revocation.ValidateContextOptions{CertChain: leaf.Chain}))(t)
			for i := range first {
				if first[i].Result != again[i].Result || first[i].RevocationMethod != again[i].RevocationMethod {
					t.Errorf("certificate %d: %+v, then %+v", i, first[i], again[i])
				}
			}
			tt.spoil(t, w, leaf)
			w.expectGood(t, leaf, tt.good)
			w.expect(t, leaf, tt.want)
			w.expectGood(t, leaf, tt.want != result.ResultUnknown && tt.want != result.ResultRevoked)
		})
	}
}

// answers returns where the answer is kept on which the only finding rests.
func (w *world) answers() *answers {
	return w.findings.kept.Values()[0].grounds[0].(answerGround).answers
}

// A postponed question leaves a finding as good as the answer that is gone by meanwhile.
func TestFindingWhileTheResponderIsDown(t *testing.T) {
	w := newWorld(t, "")
	leaf := w.byOCSP(t)
	w.expect(t, leaf, result.ResultOK)
	w.responder.SetFault(down)
	w.clock.Advance(maxAnswerAge)
	w.expectGood(t, leaf, false)
	w.expect(t, leaf, result.ResultOK)
	w.expectGood(t, leaf, true)
	w.clock.Advance(retryAfter)
	w.expectGood(t, leaf, false)
}

// TestFindingThatComesLate has a list replaced, by one that revokes the signer, while the check that went by it still waits for an answer.
func TestFindingThatComesLate(t *testing.T) {
	w := newWorld(t, "")
	intermediate := must(w.root.Issue("intermediate", signing.Options{Authority: true, OCSP: []string{w.responder.OCSP()}}))(t)
	lists := newResponder(t, intermediate)
	leaf := must(intermediate.Issue("leaf", signing.Options{CRL: []string{lists.CRL()}}))(t)
	key := keyOf(lists.CRL(), intermediate.Certificate())
	asked, released := make(chan struct{}, 1), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	defer release()
	w.responder.SetFault(func(http.ResponseWriter, *http.Request) bool {
		asked <- struct{}{}
		<-released
		return false
	})
	done := make(chan []*result.CertRevocationResult, 1)
	go func() {
		results, err := w.Signing().ValidateContext(t.Context(), revocation.ValidateContextOptions{CertChain: leaf.Chain})
		if err != nil {
			t.Error(err)
		}
		done <- results
	}()
	<-asked
	eventually(t, "the list comes", func() bool { return w.size() == 1 })
	lists.Revoke(leaf.Certificate())
	eventually(t, "the list is replaced", func() bool {
		bundle, err := w.lists.fetch(t.Context(), key, intermediate.Certificate())
		return err == nil && bundle.BaseCRL.Number.String() == "2"
	})
	release()
	if results := <-done; results[0].Result != result.ResultOK || results[1].Result != result.ResultOK {
		t.Fatalf("%+v, %+v; want what was read", results[0], results[1])
	}
	w.expectGood(t, leaf, false)
	w.expect(t, leaf, result.ResultRevoked)
	w.expectGood(t, leaf, false)
}

// TestNoFinding has checks that have to be made again each time.
func TestNoFinding(t *testing.T) {
	only := func(part string, fault func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			return strings.HasPrefix(r.URL.Path, part) && fault(w, r)
		}
	}
	issued := func(o func(*world) signing.Options) func(*world, testing.TB) signing.Identity {
		return func(w *world, t testing.TB) signing.Identity { return must(w.root.Issue("leaf", o(w)))(t) }
	}
	tests := map[string]struct {
		signer func(*world, testing.TB) signing.Identity
		set    func(*world, signing.Identity)
		want   result.Result
	}{
		"revoked":                           {(*world).byOCSP, func(w *world, leaf signing.Identity) { w.responder.Revoke(leaf.Certificate()) }, result.ResultRevoked},
		"revoked by a list":                 {(*world).byList, func(w *world, leaf signing.Identity) { w.responder.Revoke(leaf.Certificate()) }, result.ResultRevoked},
		"responder is down":                 {(*world).byOCSP, func(w *world, _ signing.Identity) { w.responder.SetFault(down) }, result.ResultUnknown},
		"only the list is there":            {(*world).both, func(w *world, _ signing.Identity) { w.responder.SetFault(only("/ocsp", down)) }, result.ResultOK},
		"list that is too large for memory": {(*world).byList, func(w *world, _ signing.Identity) { w.lists.memory.limit = 1 }, result.ResultOK},
		"list with a long address": {issued(func(w *world) signing.Options {
			return signing.Options{CRL: []string{w.responder.CRL() + "?" + strings.Repeat("x", maxGroundURL)}}
		}), func(*world, signing.Identity) {}, result.ResultOK},
		"more lists than are noted": {issued(func(w *world) signing.Options {
			o := signing.Options{}
			for i := range maxGrounds + 1 {
				o.CRL = append(o.CRL, w.responder.CRL()+"?"+strings.Repeat("x", i))
			}
			return o
		}), func(*world, signing.Identity) {}, result.ResultOK},
		"one of two responders is down": {issued(func(w *world) signing.Options {
			return signing.Options{OCSP: []string{w.responder.OCSP() + "/down", w.responder.OCSP()}}
		}), func(w *world, _ signing.Identity) { w.responder.SetFault(only("/ocsp/down", down)) }, result.ResultOK},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			leaf := tt.signer(w, t)
			tt.set(w, leaf)
			w.expect(t, leaf, tt.want)
			w.expectGood(t, leaf, false)
		})
	}
	t.Run("invalid chain", func(t *testing.T) {
		w := newWorld(t, "")
		leaf := w.byList(t)
		leaf.Chain = leaf.Chain[:1]
		if _, err := w.Signing().ValidateContext(t.Context(), revocation.ValidateContextOptions{CertChain: leaf.Chain}); err == nil {
			t.Error("no error")
		}
		w.expectGood(t, leaf, false)
	})
}

// Only what is good of every certificate is a finding, even if all that it rests on is held.
func TestFindingIsGood(t *testing.T) {
	for want, results := range map[bool][]result.Result{
		true:  {result.ResultOK, result.ResultNonRevokable},
		false: {result.ResultOK, result.ResultUnknown, result.ResultNonRevokable},
	} {
		f := must(newFindings())(t)
		var all []*result.CertRevocationResult
		for _, r := range results {
			all = append(all, &result.CertRevocationResult{Result: r})
		}
		f.put(Question{}, &inquiry{}, all)
		if got := f.get(t.Context(), Question{}) != nil; got != want {
			t.Errorf("%v is a finding: %t, want %t", results, got, want)
		}
	}
}

// TestQuestions tells apart what has different answers.
func TestQuestions(t *testing.T) {
	w := newWorld(t, "")
	leaf, other := w.byList(t), w.byList(t)
	w.expect(t, leaf, result.ResultOK)
	seen := map[Question]string{}
	for name, q := range map[string]Question{
		"leaf":            questionOf(leaf),
		"another leaf":    questionOf(other),
		"shorter chain":   questionOf(signing.Identity{Chain: leaf.Chain[:1]}),
		"for timestamps":  QuestionOf(purpose.Timestamping, revocation.ValidateContextOptions{CertChain: leaf.Chain}),
		"at another time": QuestionOf(purpose.CodeSigning, revocation.ValidateContextOptions{CertChain: leaf.Chain, AuthenticSigningTime: time.Now()}),
	} {
		if seen[q] != "" {
			t.Errorf("%s is the same question as %s", name, seen[q])
		}
		seen[q] = name
		if got := w.Good(t.Context(), q); got != (name == "leaf") {
			t.Errorf("%s: known to be good: %t", name, got)
		}
	}
	if _, err := w.Timestamping().ValidateContext(t.Context(), revocation.ValidateContextOptions{CertChain: leaf.Chain}); err == nil {
		t.Error("a signer's chain passes as a timestamping authority's")
	}
}

func TestFindingsAreBounded(t *testing.T) {
	f := must(newFindings())(t)
	for i := range 2 * maxFindings {
		f.put(Question{byte(i), byte(i >> 8)}, &inquiry{}, []*result.CertRevocationResult{{Result: result.ResultOK}})
	}
	if n := f.kept.Len(); n != maxFindings {
		t.Errorf("%d findings, want %d", n, maxFindings)
	}
	if f.get(context.Background(), Question{}) != nil {
		t.Error("the oldest is still there")
	}
}

// BenchmarkCheck checks a chain that was found good.
func BenchmarkCheck(b *testing.B) {
	w := newWorld(b, "")
	leaf := w.both(b)
	o := revocation.ValidateContextOptions{CertChain: append([]*x509.Certificate{}, leaf.Chain...)}
	for name, forget := range map[string]bool{"known": false, "forgotten": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if forget {
					w.findings.kept.Purge()
				}
				if results, err := w.Signing().ValidateContext(b.Context(), o); err != nil || results[0].Result != result.ResultOK {
					b.Fatal(results, err)
				}
			}
		})
	}
}
