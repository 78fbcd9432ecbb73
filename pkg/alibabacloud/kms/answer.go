package kms

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/alibabacloud/internal/reply"
)

// What replies of both protocols have in common.

// maxRSA and maxECDSA bound signatures, in bytes: the modulus of RSA_4096, and two 256-bit integers in DER.
const (
	maxRSA   = 512
	maxECDSA = 72
)

// subject names a version of a key, for errors.
func subject(keyID, version string) string {
	if version == "" {
		return "key " + keyID
	}
	return "key " + keyID + " version " + version
}

// secretSubject names a version of a secret, for errors.
func secretSubject(name string, version SecretVersion) string {
	switch {
	case version.ID != "":
		return "secret " + name + " version " + version.ID
	case version.Stage != "":
		return "secret " + name + " stage " + version.Stage
	}
	return "secret " + name
}

// answeredKey is which key a reply says it is about.
type answeredKey struct {
	KeyID        string `json:"KeyId"`
	KeyVersionID string `json:"KeyVersionId"`
}

// check returns an error if the reply is not about the key, or its version, that was asked for. Which key an alias is of, KMS alone knows.
func (a answeredKey) check(keyID, version string) error {
	if err := present("KeyId", a.KeyID); err != nil {
		return err
	}
	id := keyID
	if _, resource, isARN := strings.Cut(keyID, ":key/"); isARN { // acs:kms:<region>:<account>:key/<ID>
		id = resource
	}
	byAlias := strings.HasPrefix(id, "alias/") || strings.Contains(id, ":alias/")
	switch {
	case !byAlias && a.KeyID != id:
		return fmt.Errorf("the reply is about key %s", reply.Text(a.KeyID))
	case version != "" && a.KeyVersionID != "" && a.KeyVersionID != version:
		return fmt.Errorf("the reply is about key version %s", reply.Text(a.KeyVersionID))
	}
	return nil
}

// answeredSecret is what a reply says of a secret.
type answeredSecret struct {
	SecretName     string
	SecretData     string
	SecretDataType string
	VersionID      string `json:"VersionId"`
}

// secret returns the secret if it is the version that was asked for.
func (a *answeredSecret) secret(name string, version SecretVersion, stages []string) (Secret, error) {
	if err := present("SecretName", a.SecretName, "VersionId", a.VersionID, "SecretData", a.SecretData); err != nil {
		return Secret{}, err
	}
	stage := version.Stage
	if stage == "" {
		stage = StageCurrent
	}
	switch {
	case version.ID != "" && a.VersionID != version.ID:
		return Secret{}, fmt.Errorf("the reply is about version %s", reply.Text(a.VersionID))
	case version.ID == "" && len(stages) > 0 && !slices.Contains(stages, stage):
		return Secret{}, fmt.Errorf("the reply is about version %s, which is not at stage %s", reply.Text(a.VersionID), stage)
	case a.SecretName != name && !strings.Contains(name, ":"): // by name, not by ARN
		return Secret{}, fmt.Errorf("the reply is about secret %s", reply.Text(a.SecretName))
	}
	data := []byte(a.SecretData)
	if a.SecretDataType == "binary" {
		var err error
		if data, err = base64.StdEncoding.DecodeString(a.SecretData); err != nil {
			return Secret{}, errors.New("the reply's SecretData is binary, but not base64")
		}
	}
	return Secret{Name: a.SecretName, Version: a.VersionID, Stages: stages, Data: data}, nil
}

// checkSignature returns an error if a field of a reply cannot be a signature by algorithm.
func checkSignature(field string, algorithm Algorithm, value []byte) error {
	longest := maxRSA
	if algorithm == ECDSA {
		longest = maxECDSA
	}
	if len(value) == 0 || len(value) > longest {
		return fmt.Errorf("the reply's %s has %d bytes, which is no %s signature", field, len(value), algorithm)
	}
	return nil
}

// present returns an error about the first field that is empty, of name and value by turns.
func present(fields ...string) error {
	for pair := range slices.Chunk(fields, 2) {
		if pair[1] == "" {
			return fmt.Errorf("the reply has no %s", pair[0])
		}
	}
	return nil
}
