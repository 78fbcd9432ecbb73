package revocation

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/notaryproject/notation-core-go/revocation/crl"
)

// clockSkew is how far in the future a list may have been made: clocks differ.
const clockSkew = 5 * time.Minute

// oidFreshestCRL marks the extension of a list that names its delta list (RFC 5280, 5.2.6).
var oidFreshestCRL = asn1.ObjectIdentifier{2, 5, 29, 46}

// oidDeltaCRLIndicator marks the extension of a delta list that names the base list it goes with (RFC 5280, 5.2.4).
var oidDeltaCRLIndicator = asn1.ObjectIdentifier{2, 5, 29, 27}

// checkBundle returns an error unless issuer signed the lists, they are in date and the delta list goes with the base list. Those are the
// checks by which what somebody else put in their place would fail.
func checkBundle(b *crl.Bundle, issuer *x509.Certificate, now time.Time) error {
	if err := checkList(b.BaseCRL, issuer, now); err != nil {
		return err
	}
	if b.DeltaCRL == nil {
		return nil
	}
	if err := checkList(b.DeltaCRL, issuer, now); err != nil {
		return fmt.Errorf("delta list: %w", err)
	}
	return checkDelta(b)
}

func checkList(list *x509.RevocationList, issuer *x509.Certificate, now time.Time) error {
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("the revocation list is not signed by %s: %w", issuer.Subject, err)
	}
	return inDate(list, now)
}

func inDate(list *x509.RevocationList, now time.Time) error {
	switch {
	case list.NextUpdate.IsZero():
		return errors.New("the revocation list does not say when it ends (nextUpdate)")
	case now.After(list.NextUpdate):
		return fmt.Errorf("the revocation list ended on %s", list.NextUpdate.UTC().Format(time.RFC3339))
	case now.Add(clockSkew).Before(list.ThisUpdate):
		return fmt.Errorf("the revocation list is from the future, %s; check the clocks of this machine and of the authority",
			list.ThisUpdate.UTC().Format(time.RFC3339))
	}
	return nil
}

// checkDelta returns an error unless the delta list is newer than the base list and made for it or an earlier one (RFC 5280, 5.2.4).
func checkDelta(b *crl.Bundle) error {
	base, delta := b.BaseCRL, b.DeltaCRL
	if base.Number == nil || delta.Number == nil || delta.Number.Cmp(base.Number) <= 0 {
		return fmt.Errorf("the delta list has number %v, which is not greater than the base list's, %v", delta.Number, base.Number)
	}
	i := slices.IndexFunc(delta.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidDeltaCRLIndicator) })
	if i < 0 {
		return errors.New("the delta list does not say which base list it goes with")
	}
	var minimum *big.Int
	if rest, err := asn1.Unmarshal(delta.Extensions[i].Value, &minimum); err != nil || len(rest) > 0 {
		return errors.New("the delta list does not say which base list it goes with: the extension cannot be read")
	}
	if minimum.Cmp(base.Number) > 0 {
		return fmt.Errorf("the delta list needs the base list %d or a later one, and not %d", minimum, base.Number)
	}
	return nil
}

func namesDelta(list *x509.RevocationList) bool {
	return slices.ContainsFunc(list.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidFreshestCRL) })
}

// ends returns when the bundle may not be used any more.
func ends(b *crl.Bundle) time.Time {
	if b.DeltaCRL != nil && b.DeltaCRL.NextUpdate.Before(b.BaseCRL.NextUpdate) {
		return b.DeltaCRL.NextUpdate
	}
	return b.BaseCRL.NextUpdate
}

// older reports whether a was made before b. Of two that go by the same time, the lower number is the older.
func older(a, b *crl.Bundle) bool {
	if order := compareLists(a.BaseCRL, b.BaseCRL); order != 0 {
		return order < 0
	}
	if a.DeltaCRL == nil || b.DeltaCRL == nil {
		return a.DeltaCRL == nil && b.DeltaCRL != nil
	}
	return compareLists(a.DeltaCRL, b.DeltaCRL) < 0
}

func compareLists(a, b *x509.RevocationList) int {
	if order := a.ThisUpdate.Compare(b.ThisUpdate); order != 0 || a.Number == nil || b.Number == nil {
		return order
	}
	return a.Number.Cmp(b.Number)
}
