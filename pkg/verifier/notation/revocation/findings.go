package revocation

import (
	"context"
	"crypto/sha256"
	"fmt"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/purpose"
	"github.com/notaryproject/notation-core-go/revocation/result"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/flight"
)

const (
	// maxFindings bounds the chains that are known to be good, each of which is one signer's. A cluster meets a few.
	maxFindings = 1024

	// maxGrounds and maxGroundURL (in bytes) bound what one of them takes, so that all stay below 6 MiB. A chain of four has up to three
	// certificates that name a responder or a list, in some 50 bytes. What is beyond is checked each time.
	maxGrounds   = 8
	maxGroundURL = 512
)

// Question stands for what is asked about a chain: about which certificates, for which purpose, and as of which time of signing.
type Question [sha256.Size]byte

// QuestionOf returns the Question of a check.
func QuestionOf(use purpose.Purpose, o revocation.ValidateContextOptions) Question {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d %d ", use, o.AuthenticSigningTime.Unix(), o.AuthenticSigningTime.Nanosecond())
	for _, cert := range o.CertChain {
		fmt.Fprintf(h, "%d ", len(cert.Raw))
		h.Write(cert.Raw)
	}
	return Question(h.Sum(nil))
}

// findings remembers which chains were found good: none of their certificates is revoked. It saves the signatures of a chain, an answer and a
// list from being checked anew for every image of a signer.
//
// It is safe because a finding is used only while a check would go by the very same again: the chain's signatures, names and usages never
// change, and every answer and list that was used is still the one held, in date, and not due to be asked for. Whether a certificate has
// expired is no part of this check, before as after.
type findings struct{ kept *lru.Cache[Question, finding] }

type finding struct {
	results []*result.CertRevocationResult
	grounds []ground
}

// ground is an answer or a list that a finding rests on.
type ground interface {
	// stands reports whether a check would go by the same now. It has what is due renewed in the background, as a check would.
	stands(context.Context) bool
}

func newFindings() (*findings, error) {
	kept, err := lru.New[Question, finding](maxFindings)
	return &findings{kept}, err
}

// get returns the results of a check that would have the same again, nil if there was none.
func (f *findings) get(ctx context.Context, question Question) []*result.CertRevocationResult {
	found, ok := f.kept.Get(question)
	if !ok {
		return nil
	}
	for _, ground := range found.grounds {
		if !ground.stands(ctx) {
			return nil
		}
	}
	return found.results
}

// put remembers the results of an inquiry if they are good and all that they rest on is held.
func (f *findings) put(question Question, i *inquiry, results []*result.CertRevocationResult) {
	grounds, all := i.restsOn()
	if !all || len(grounds) > maxGrounds {
		return
	}
	kept := make([]*result.CertRevocationResult, len(results))
	for i, r := range results {
		if r.Result != result.ResultOK && r.Result != result.ResultNonRevokable {
			return
		}
		kept[i] = &result.CertRevocationResult{Result: r.Result, RevocationMethod: r.RevocationMethod} // without what servers said: it is as large as they like
	}
	f.kept.Add(question, finding{kept, grounds})
}

// listGround is a list that is held in memory.
type listGround struct {
	lists   *lists
	key     listKey
	version uint64
}

func (g listGround) stands(ctx context.Context) bool {
	held, renew := g.lists.memory.get(g.key, g.lists.now())
	if renew {
		go g.lists.renew(flight.Detach(ctx), g.key, held.issuer)
	}
	return held.bundle != nil && held.version == g.version
}

// answerGround is an answer that is held.
type answerGround struct {
	answers *answers
	key     string
	version uint64
}

func (g answerGround) stands(context.Context) bool {
	held, ok := g.answers.kept.Get(g.key)
	return ok && held.version == g.version && held.serves(g.answers.now())
}
