package kms

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"
	"software.sslmate.com/src/go-pkcs12"
)

// clientKeyValidity is that of the certificates of client keys: 5 years, as the console's default.
const clientKeyValidity = 5 * 365 * 24 * time.Hour

// accessPoint is an application access point with its one client key.
type accessPoint struct {
	instance string
	public   *rsa.PublicKey
}

// AddClientKey adds an application access point of a dedicated instance, and returns what the console gives of it: the file clientKey_<ID>.json,
// whose PKCS #12 is encrypted as KMS does, and the password of clientKey_<ID>_Password.txt.
func (s *Service) AddClientKey(instance string) (file []byte, password string, err error) {
	return s.addClientKey(instance, pkcs12.LegacyDES)
}

// AddModernClientKey is AddClientKey with a PKCS #12 that is encrypted as OpenSSL 3 does by default, which clients of KMS need not understand.
func (s *Service) AddModernClientKey(instance string) (file []byte, password string, err error) {
	return s.addClientKey(instance, pkcs12.Modern2023)
}

func (s *Service) addClientKey(instance string, encoder *pkcs12.Encoder) ([]byte, string, error) {
	private, err := s.clientKey()
	if err != nil {
		return nil, "", fmt.Errorf("client key: %w", err)
	}
	id := "KAAP." + uuid.NewString()
	now := s.o.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: id},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(clientKeyValidity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, "", fmt.Errorf("client key: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, "", fmt.Errorf("client key: %w", err)
	}
	password := rand.Text()
	archive, err := encoder.Encode(private, certificate, nil, password)
	if err != nil {
		return nil, "", fmt.Errorf("client key: %w", err)
	}
	file, err := json.Marshal(struct {
		KeyID          string `json:"KeyId"`
		PrivateKeyData []byte
	}{id, archive})
	if err != nil {
		return nil, "", fmt.Errorf("client key: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.instances[instance] == nil {
		return nil, "", fmt.Errorf("client key: there is no KMS instance %s", instance)
	}
	s.accessPoints[id] = accessPoint{instance, &private.PublicKey}
	return file, password, nil
}
