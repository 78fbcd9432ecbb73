package kms

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/openapi"
)

const (
	stageCurrent  = "ACSCurrent"
	stagePrevious = "ACSPrevious"
)

type secret struct {
	created  time.Time
	versions []*secretVersion // the oldest first
}

type secretVersion struct {
	id      string
	value   string
	created time.Time
	stages  []string
}

// PutSecret adds a version to a secret, and the secret if need be, and returns the version's ID. The version becomes ACSCurrent, the one that was
// becomes ACSPrevious, and older ones lose their stage. The value is text: PutSecret panics if it is not UTF-8. Secrets are in the service's region,
// and the hosts of its instances there serve them, too.
func (s *Service) PutSecret(name, value string) (versionID string) {
	if !utf8.ValidString(value) {
		panic("kms: the value of secret " + name + " is not UTF-8")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	found := s.secrets[name]
	if found == nil {
		found = &secret{created: now}
		s.secrets[name] = found
	}
	for _, v := range found.versions {
		if slices.Contains(v.stages, stageCurrent) {
			v.stages = []string{stagePrevious}
		} else {
			v.stages = nil
		}
	}
	v := &secretVersion{id: strings.ToLower(rand.Text()), value: value, created: now, stages: []string{stageCurrent}}
	found.versions = append(found.versions, v)
	return v.id
}

// RemoveSecretVersion removes a version of a secret, whatever its stage.
func (s *Service) RemoveSecretVersion(name, versionID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.secrets[name]; found != nil {
		found.versions = slices.DeleteFunc(found.versions, func(v *secretVersion) bool { return v.id == versionID })
	}
}

// DeleteSecret removes a secret with all of its versions.
func (s *Service) DeleteSecret(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, name)
}

// secretValue is a version of a secret, as it is told.
type secretValue struct {
	name, version, data string
	stages              []string
	created             string
}

// secretValue returns a version of a secret: the one of an ID, or of a stage, or both; of ACSCurrent if neither is given.
func (s *Service) secretValue(in scope, name, version, stage string) (secretValue, *openapi.Error) {
	if name == "" {
		return secretValue{}, missing("SecretName")
	}
	if version == "" && stage == "" {
		stage = stageCurrent
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.secrets[name]; found != nil && in.region == s.o.Region {
		for _, v := range found.versions {
			if (version == "" || v.id == version) && (stage == "" || slices.Contains(v.stages, stage)) {
				return secretValue{name, v.id, v.value, slices.Clone(v.stages), timestamp(v.created)}, nil
			}
		}
	}
	return secretValue{}, refusal(http.StatusNotFound, "Forbidden.ResourceNotFound", "Resource not found.")
}

// timestamp is how KMS writes times.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }
