package cosign

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/regularfile"
)

const (
	// keyMaterialTimeout bounds the reading of one key management provider while the configuration is loaded. Providers hold what they fetched
	// in memory; the time is for one that does not.
	keyMaterialTimeout = 30 * time.Second

	// fileProvider is what reports call the provider of keys in files.
	fileProvider = "file"

	// azureKeyVault is the type of key management providers whose signatures have rules of their own.
	azureKeyVault = "azurekeyvault"
)

// ErrKeyMaterial marks errors of New that are not about the configuration alone: a key management provider that it names is missing, fails or
// does not hold the key. New may succeed once that provider changes.
var ErrKeyMaterial = errors.New("key material is not available")

// Key tells in a report which key was tried. Its JSON is Ratify's.
type Key struct {
	Provider string `json:"provider,omitempty"`
	Name     string `json:"name,omitempty"`
	Version  string `json:"version,omitempty"`
}

func (k Key) String() string {
	name := k.Provider
	for _, part := range []string{k.Name, k.Version} {
		if part != "" {
			name += "/" + part
		}
	}
	return name
}

// namedKey is a key that may sign.
type namedKey struct {
	Key
	pem      []byte
	verifier signature.Verifier
	// halves, if not 0, is the size of an RSA signature that may come as two numbers.
	halves int
}

// readKeys returns the keys that the blocks of a trust policy name, in their order, those of one block by name and version.
func readKeys(ctx context.Context, field string, blocks []json.RawMessage, o Options) ([]namedKey, error) {
	var keys []namedKey
	for i, raw := range blocks {
		field := indexed(field, i)
		var in keyParameters
		if err := parameter.Decode(field, raw, &in); err != nil {
			return nil, err
		}
		var found []namedKey
		var err error
		switch {
		case in.File == "" && in.Provider == "":
			return nil, parameter.Errorf(field+".provider", "is missing; name a key management provider, or a file")
		case in.File != "" && in.Provider != "":
			return nil, parameter.Errorf(field+".file", "cannot be used together with provider")
		case in.Version != "" && in.Name == "":
			return nil, parameter.Errorf(field+".version", "needs a name of which it is a version")
		case in.File != "":
			found, err = readKeyFile(field+".file", in.File)
		default:
			found, err = keysOf(ctx, field, in, o)
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, found...)
	}
	return keys, nil
}

// keysOf returns the keys of a key management provider that in names.
func keysOf(ctx context.Context, field string, in keyParameters, o Options) ([]namedKey, error) {
	namespace, _, namespaced := strings.Cut(in.Provider, "/")
	if namespaced && o.Namespace != "" && namespace != o.Namespace {
		return nil, parameter.Errorf(field+".provider", "key management provider %q is in another namespace than the verifier (%s); "+
			"use one of the same namespace or a cluster-wide one", in.Provider, o.Namespace)
	}
	if o.Keys == nil {
		return nil, parameter.Errorf(field+".provider", "%w: key management provider %q cannot be used here: there are none; name a file instead",
			ErrKeyMaterial, in.Provider)
	}
	ctx, cancel := context.WithTimeout(ctx, keyMaterialTimeout)
	defer cancel()
	held, err := o.Keys(ctx, in.Provider)
	if err != nil {
		return nil, parameter.Errorf(field+".provider", "%w: key management provider %q: %w", ErrKeyMaterial, in.Provider, err)
	}
	var keys []namedKey
	var names []string
	for at, public := range held {
		names = append(names, strings.TrimSuffix(at.Name+" "+at.Version, " "))
		if in.Name != "" && (at.Name != in.Name || in.Version != "" && at.Version != in.Version) {
			continue
		}
		key, err := namedKeyOf(Key{in.Provider, at.Name, at.Version}, public)
		if err != nil {
			return nil, parameter.Errorf(field+".provider", "%w: key management provider %q: %w", ErrKeyMaterial, in.Provider, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 && in.Name != "" {
		slices.Sort(names)
		return nil, parameter.Errorf(field+".name", "%w: key management provider %q has no key %q of version %q; it has: %s", ErrKeyMaterial,
			in.Provider, in.Name, in.Version, cmp.Or(strings.Join(names, ", "), "none"))
	}
	if len(keys) == 0 {
		return nil, parameter.Errorf(field+".provider", "%w: key management provider %q holds no keys", ErrKeyMaterial, in.Provider)
	}
	slices.SortFunc(keys, func(a, b namedKey) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	return keys, nil
}

// readKeyFile returns the public keys in a file, PEM.
func readKeyFile(field, path string) ([]namedKey, error) {
	publics, err := publicKeysIn(path)
	if err != nil {
		return nil, parameter.Errorf(field, "%w", err)
	}
	var keys []namedKey
	for _, public := range publics {
		key, err := namedKeyOf(Key{Provider: fileProvider, Name: path}, keymanagementprovider.PublicKey{Key: public, ProviderType: fileProvider})
		if err != nil {
			return nil, parameter.Errorf(field, "%s: %w", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// publicKeysIn returns the public keys in a file, PEM. Errors name the path.
func publicKeysIn(path string) ([]crypto.PublicKey, error) {
	text, err := regularfile.Read(path, pemfile.MaxBytes)
	if err != nil {
		return nil, err
	}
	keys, err := pemfile.PublicKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

// namedKeyOf returns a key that verifies as its provider signs: Azure Key Vault with a hash as long as the key, all others with SHA-256.
func namedKeyOf(name Key, public keymanagementprovider.PublicKey) (namedKey, error) {
	key := namedKey{Key: name}
	hash := crypto.SHA256
	if public.ProviderType == azureKeyVault {
		var err error
		if hash, err = azureHash(public.Key); err != nil {
			return key, fmt.Errorf("key %s: %w", name, err)
		}
		if rsaKey, ok := public.Key.(*rsa.PublicKey); ok {
			key.halves = rsaKey.Size()
		}
	}
	var err error
	if key.verifier, err = signature.LoadVerifier(public.Key, hash); err != nil {
		return key, fmt.Errorf("key %s (%T): %w; use RSA, ECDSA or Ed25519", name, public.Key, err)
	}
	if key.pem, err = cryptoutils.MarshalPublicKeyToPEM(public.Key); err != nil {
		return key, fmt.Errorf("key %s: %w", name, err)
	}
	return key, nil
}

// azureHash returns the hash of which Azure Key Vault makes signatures for cosign.
func azureHash(key crypto.PublicKey) (crypto.Hash, error) {
	hashes := map[string]crypto.Hash{
		"RSA 2048": crypto.SHA256, "RSA 3072": crypto.SHA384, "RSA 4096": crypto.SHA512,
		elliptic.P256().Params().Name: crypto.SHA256, elliptic.P384().Params().Name: crypto.SHA384, elliptic.P521().Params().Name: crypto.SHA512,
	}
	kind := fmt.Sprintf("%T", key)
	switch key := key.(type) {
	case *rsa.PublicKey:
		kind = fmt.Sprintf("RSA %d", key.Size()*8)
	case *ecdsa.PublicKey:
		kind = key.Curve.Params().Name
	}
	hash, ok := hashes[kind]
	if !ok {
		return 0, fmt.Errorf("keys of this kind (%s) are not among those that Azure Key Vault signs with", kind)
	}
	return hash, nil
}

// joinHalves returns the RSA signature whose halves cosign's client of Azure Key Vault put into an ASN.1 sequence as if they were the two numbers
// of an ECDSA signature (https://github.com/sigstore/sigstore/issues/1384), or any other signature as it is.
func joinHalves(raw []byte, size int) []byte {
	var numbers struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(raw, &numbers)
	if err != nil || len(rest) > 0 || numbers.R.Sign() < 0 || numbers.S.Sign() < 0 {
		return raw
	}
	half := size / 2
	if numbers.R.BitLen() > half*8 || numbers.S.BitLen() > half*8 {
		return raw
	}
	joined := make([]byte, size)
	numbers.R.FillBytes(joined[:half])
	numbers.S.FillBytes(joined[half:])
	return joined
}
