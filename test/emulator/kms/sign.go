package kms

import (
	"cmp"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/openapi"
)

// usable returns a version of a key that may be asked for its public key or signatures. It needs s.mu.
func (s *Service) usable(in scope, id, version string) (*key, keyVersion, *openapi.Error) {
	k, e := s.find(in, id)
	if e != nil {
		return nil, keyVersion{}, e
	}
	v := k.version(version)
	if v == nil {
		return nil, keyVersion{}, refusal(http.StatusNotFound, "Forbidden.KeyVersionNotFound", "The specified Key Version is not found.")
	}
	switch {
	case k.state != Enabled:
		// That public keys, too, are refused, is a guess.
		return nil, keyVersion{}, refusal(http.StatusConflict, "Rejected."+k.state, "The request was rejected because the key state is "+k.state+".")
	case v.material == nil:
		return nil, keyVersion{}, unsupported("The key has no public half.")
	}
	return k, *v, nil
}

// publicKey returns a version's public key in PEM.
func (s *Service) publicKey(in scope, id, version string) (keyID, versionID, text string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, v, e := s.usable(in, id, version)
	if e != nil {
		return "", "", "", e
	}
	der, err := marshalPublicKey(v.material.Public())
	if err != nil {
		return "", "", "", err
	}
	return k.ID, v.id, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// signature is what a key made.
type signature struct {
	keyID, versionID, algorithm string
	value                       []byte
}

// sign signs a digest. algorithm may be empty for the spec's default.
func (s *Service) sign(in scope, id, version, algorithm string, digest []byte) (signature, error) {
	s.mu.Lock()
	k, v, e := s.usable(in, id, version)
	s.mu.Unlock()
	if e != nil {
		return signature{}, e
	}
	if k.Usage != usageSign {
		return signature{}, unsupported("The key's usage is " + k.Usage + ".")
	}
	algorithms := specs[k.Spec].algorithms
	algorithm = cmp.Or(algorithm, algorithms[0])
	if !slices.Contains(algorithms, algorithm) {
		return signature{}, invalid("Algorithm", algorithm+" does not fit spec "+k.Spec+".")
	}
	// All of the algorithms need a whole SHA-256 (or SM3) digest.
	if len(digest) != digestSize {
		return signature{}, invalid("Digest", fmt.Sprintf("It has %d bytes, not %d.", len(digest), digestSize))
	}
	value, err := sign(v.material, algorithm, digest)
	if errors.Is(err, errNoSignature) {
		return signature{}, unsupported(err.Error())
	}
	return signature{k.ID, v.id, algorithm, value}, err
}
