package kms

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/openapi"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/ram"
)

// States of keys.
const (
	Enabled         = "Enabled"
	Disabled        = "Disabled"
	PendingDeletion = "PendingDeletion"
	PendingImport   = "PendingImport"
)

// Origins of key material.
const (
	originKMS      = "Aliyun_KMS"
	originExternal = "EXTERNAL"
)

const (
	usageSign    = "SIGN/VERIFY"
	usageEncrypt = "ENCRYPT/DECRYPT"
)

// KeyOptions describe a key. The zero value is an RSA_2048 key for signatures.
type KeyOptions struct {
	ID       string        // default: a new one, key-hzz…
	Spec     string        // RSA_2048, RSA_3072, RSA_4096, EC_P256, EC_P256K, EC_SM2 or Aliyun_AES_256; default RSA_2048
	Region   string        // default: that of Instance, or else the service's
	Instance string        // ID of the dedicated instance that holds it; empty: none
	Alias    string        // "alias/…"; optional
	Usage    string        // SIGN/VERIFY or ENCRYPT/DECRYPT; default: what the spec is for
	Origin   string        // Aliyun_KMS (the default) or EXTERNAL, which waits for ImportKeyMaterial unless there is Material
	Material crypto.Signer // an RSA or P-256 key of Spec; default: a new one, which takes a while for RSA
}

type key struct {
	KeyOptions
	state    string
	created  time.Time
	versions []keyVersion // the oldest first
}

type keyVersion struct {
	id       string
	created  time.Time
	material crypto.Signer // nil: none yet, or a symmetric key
}

// AddKey adds a key with one version, and returns its ID. The version of a key that waits for its material is there, too: that it is, is a guess.
func (s *Service) AddKey(o KeyOptions) (id string, err error) {
	o.Spec = cmp.Or(o.Spec, "RSA_2048")
	o.Origin = cmp.Or(o.Origin, originKMS)
	o.ID = cmp.Or(o.ID, "key-hzz"+strings.ToLower(rand.Text()[:20]))
	fail := func(err error) (string, error) { return "", fmt.Errorf("key %s: %w", o.ID, err) }
	sp, known := specs[o.Spec]
	if !known {
		return fail(fmt.Errorf("unknown spec %q", o.Spec))
	}
	o.Usage = cmp.Or(o.Usage, usageSign)
	if len(sp.algorithms) == 0 {
		o.Usage = usageEncrypt
	}
	if o.Alias != "" && !strings.HasPrefix(o.Alias, "alias/") {
		return fail(fmt.Errorf("alias %q does not begin with alias/", o.Alias))
	}
	if o.Material != nil {
		if err := sp.fits(o.Material); err != nil {
			return fail(err)
		}
	}
	k := &key{KeyOptions: o, state: Enabled, created: s.o.Now()}
	if o.Origin == originExternal && o.Material == nil {
		k.state = PendingImport
	} else if o.Material == nil {
		if o.Material, err = sp.generate(); err != nil {
			return fail(err)
		}
	}
	k.versions = []keyVersion{{newVersionID(), k.created, o.Material}}

	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Instance != "" {
		i := s.instances[o.Instance]
		if i == nil {
			return fail(fmt.Errorf("there is no KMS instance %s", o.Instance))
		}
		k.Region = cmp.Or(k.Region, i.region)
		if k.Region != i.region {
			return fail(fmt.Errorf("KMS instance %s is in region %s, not %s", i.id, i.region, k.Region))
		}
	}
	k.Region = cmp.Or(k.Region, s.o.Region)
	for _, other := range s.keys {
		if other.ID == k.ID || k.Alias != "" && other.Alias == k.Alias && other.Region == k.Region {
			return fail(errors.New("the ID or the alias is taken"))
		}
	}
	s.keys = append(s.keys, k)
	return k.ID, nil
}

func newVersionID() string { return strings.ToLower(rand.Text()) }

// AddKeyVersion adds a version with new material to a key, and returns its ID. KMS tells times in seconds: the version is at least a second newer
// than the one before.
func (s *Service) AddKeyVersion(id string) (version string, err error) {
	s.mu.Lock()
	k := s.byID(id)
	s.mu.Unlock()
	if k == nil {
		return "", fmt.Errorf("there is no key %s", id)
	}
	if k.Origin == originExternal {
		return "", fmt.Errorf("key %s has imported material, and so a single version", id)
	}
	material, err := specs[k.Spec].generate()
	if err != nil {
		return "", fmt.Errorf("key %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	created := s.o.Now()
	if next := k.versions[len(k.versions)-1].created.Add(time.Second); created.Before(next) {
		created = next
	}
	version = newVersionID()
	k.versions = append(k.versions, keyVersion{version, created, material})
	return version, nil
}

// SetKeyState sets a key's state: Enabled, Disabled, PendingDeletion or PendingImport. It panics if there is no such key.
func (s *Service) SetKeyState(id, state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mustHave(id).state = state
}

// DeleteKey removes a key.
func (s *Service) DeleteKey(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = slices.DeleteFunc(s.keys, func(k *key) bool { return k.ID == id })
}

// PublicKey returns the public half of a key's version, of the newest if version is empty. It panics if there is no such version, and returns nil
// for a key without material.
func (s *Service) PublicKey(id, version string) crypto.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.mustHave(id).version(version)
	if v == nil {
		panic("kms: key " + id + " has no version " + version)
	}
	if v.material == nil {
		return nil
	}
	return v.material.Public()
}

// byID needs s.mu.
func (s *Service) byID(id string) *key {
	for _, k := range s.keys {
		if k.ID == id {
			return k
		}
	}
	return nil
}

// mustHave needs s.mu.
func (s *Service) mustHave(id string) *key {
	k := s.byID(id)
	if k == nil {
		panic("kms: there is no key " + id)
	}
	return k
}

// version returns a version by ID, the newest for "", or nil.
func (k *key) version(id string) *keyVersion {
	if id == "" {
		return &k.versions[len(k.versions)-1]
	}
	for i := range k.versions {
		if k.versions[i].id == id {
			return &k.versions[i]
		}
	}
	return nil
}

// arn names the key in all of the cloud.
func (k *key) arn() string { return arnPrefix(k.Region) + "key/" + k.ID }

func arnPrefix(region string) string { return "acs:kms:" + region + ":" + ram.AccountID + ":" }

// find returns the key of an ID, an alias or an ARN of either among those that a host serves. It needs s.mu.
func (s *Service) find(in scope, id string) (*key, *openapi.Error) {
	if id == "" {
		return nil, missing("KeyId")
	}
	name, isARN := strings.CutPrefix(id, arnPrefix(in.region))
	if isARN {
		name = strings.TrimPrefix(name, "key/")
	}
	for _, k := range s.keys {
		if (k.ID == name || k.Alias != "" && k.Alias == name) && k.Region == in.region && (in.instance == "" || k.Instance == in.instance) {
			return k, nil
		}
	}
	if strings.HasPrefix(name, "alias/") {
		return nil, refusal(http.StatusNotFound, "Forbidden.AliasNotFound", "The specified Alias is not found.")
	}
	return nil, refusal(http.StatusNotFound, "Forbidden.KeyNotFound", "The specified Key is not found.")
}

func missing(parameter string) *openapi.Error {
	return refusal(http.StatusBadRequest, "MissingParameter", `The parameter "`+parameter+`" is needed but not provided.`)
}

func invalid(parameter, why string) *openapi.Error {
	return refusal(http.StatusBadRequest, "InvalidParameter", `The specified parameter "`+parameter+`" is not valid. `+why)
}

func unsupported(why string) *openapi.Error {
	return refusal(http.StatusBadRequest, "UnsupportedOperation", "This action is not supported. "+why)
}
