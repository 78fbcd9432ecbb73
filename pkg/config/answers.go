package config

import (
	"context"
	"crypto/x509"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
	"github.com/ratify-project/ratify/pkg/verifier"
)

// FromFiles is what verifiers have that may be made of files, or of what the environment names. These can change without their configuration.
type FromFiles interface {
	// FromFiles tells whether the verifier was.
	FromFiles() bool
}

// IsFromFiles tells whether a verifier was made of files.
func IsFromFiles(v verifier.ReferenceVerifier) bool {
	made, ok := v.(FromFiles)
	return ok && made.FromFiles()
}

// Find returns what a key management provider holds for who asks, or why it has nothing for them.
type Find func(provider string) (KeyMaterial, error)

// Answers are what key management providers said while a verifier was made, by their references. As long as they say the same, it is what would be
// made of them now.
type Answers map[string]answer

type answer struct {
	held KeyMaterial
	err  error
}

// Ask lets who is made of in read the providers that find knows, and returns the answers as they are given. Who asks again gets the same one.
func (in *VerifierInput) Ask(find Find) Answers {
	answers := make(Answers)
	ask := func(provider string) answer {
		told, ok := answers[provider]
		if !ok {
			told.held, told.err = find(provider)
			answers[provider] = told
		}
		return told
	}
	in.Certificates = func(_ context.Context, provider string) ([]*x509.Certificate, error) {
		told := ask(provider)
		return told.held.Certificates, told.err
	}
	in.Keys = func(_ context.Context, provider string) (map[keymanagementprovider.KMPMapKey]keymanagementprovider.PublicKey, error) {
		told := ask(provider)
		return told.held.Keys, told.err
	}
	return answers
}

// Hold tells whether find gives the same answers.
func (a Answers) Hold(find Find) bool {
	for provider, told := range a {
		held, err := find(provider)
		switch {
		case err == nil && told.err == nil:
			if !held.Same(told.held) {
				return false
			}
		case err == nil || told.err == nil || err.Error() != told.err.Error():
			return false
		}
	}
	return true
}
