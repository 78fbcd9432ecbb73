package certificate

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// maxKept limits how many certificates of other keys are looked through. A directory that several keys share has a few.
const maxKept = 100

// aside is where a chain is kept. Serial numbers are unique only within an authority, and self-signed certificates are each their own.
func (f Folder) aside(chain Chain) string {
	path := filepath.Join(string(f), "signer-"+Serial(chain.Leaf())+".crt")
	other, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && other.Leaf().Equal(chain.Leaf()) {
		return path
	}
	return filepath.Join(string(f), fmt.Sprintf("signer-%s-%x.crt", Serial(chain.Leaf()), sha256.Sum256(chain.Leaf().Raw)))
}

// kept returns what FileName was before, as far as it can be read.
func (f Folder) kept() (chains []Chain) {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return nil
	}
	looked := 0
	for _, entry := range entries {
		if matched, _ := filepath.Match("signer-*.crt", entry.Name()); !matched {
			continue
		}
		if looked++; looked > maxKept {
			break
		}
		if chain, err := Read(filepath.Join(string(f), entry.Name())); err == nil { // else it is not one of this plugin's
			chains = append(chains, chain)
		}
	}
	return chains
}

func firstFit(chains []Chain, need Need) (Chain, bool) {
	for _, chain := range chains {
		if chain, err := fit(chain, need); err == nil {
			chain.Origin = need.Origin
			return chain, true
		}
	}
	return Chain{}, false
}

// endless tells whether a chain that does not fit has a certificate of the key that does not just come to its end as this plugin's do: one of an
// authority, or one that the clock or something else is wrong with. Another in its place would break the trust of verifiers without need.
func endless(chain Chain, need Need) bool {
	return slices.ContainsFunc(chain.Certificates, func(cert *x509.Certificate) bool {
		return SameKey(cert.PublicKey, need.Key) && (!selfIssued(cert) || cert.NotAfter.Sub(need.Now) >= renewBefore)
	})
}

// former returns the self-signed certificate of the key, or of what was signed with by its name before, that ends last.
func former(chains []Chain, need Need) (last *x509.Certificate) {
	for _, chain := range chains {
		sameName := chain.Origin.Key != "" && (chain.Origin.Key == need.Origin.Key || need.Origin.Alias != "" && chain.Origin.Alias == need.Origin.Alias)
		for _, cert := range chain.Certificates {
			if selfIssued(cert) && (sameName || SameKey(cert.PublicKey, need.Key)) && (last == nil || cert.NotAfter.After(last.NotAfter)) {
				last = cert
			}
		}
	}
	return last
}
