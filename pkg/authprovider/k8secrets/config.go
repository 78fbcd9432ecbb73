package k8secrets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// namespaceVariable is where the pod's own namespace stands.
	namespaceVariable = "RATIFY_NAMESPACE"
	// defaultServiceAccount is whose imagePullSecrets count if the configuration names none.
	defaultServiceAccount = "default"
	// defaultLife is how long credentials are used before their Secret is read again, unless a registry refuses them. It is upstream's.
	defaultLife = 12 * time.Hour
	// maxSecrets bounds the Secrets of one look-up. Each costs a request.
	maxSecrets = 50
)

// settings are a provider's configuration.
type settings struct {
	Name               string       `json:"name"`
	ServiceAccountName string       `json:"serviceAccountName"`
	Secrets            []secretName `json:"secrets"`
	// SecretTimeout is in seconds.
	SecretTimeout *uint32 `json:"secretTimeout"`

	namespace string // of the service account, and of Secrets that name none
	life      time.Duration
}

// secretName is where a Secret is.
type secretName struct {
	Name      string `json:"secretName"`
	Namespace string `json:"namespace"`
}

func (n secretName) String() string { return n.Namespace + "/" + n.Name }

// parse reads the authProvider block of a store.
func parse(block map[string]any) (settings, error) {
	text, err := json.Marshal(block)
	if err != nil {
		return settings{}, err
	}
	s := settings{ServiceAccountName: defaultServiceAccount, life: defaultLife}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&s); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return settings{}, fmt.Errorf("%s must not be a %s", wrong.Field, wrong.Value)
		}
		return settings{}, fmt.Errorf("%w (known are name, secrets with secretName and namespace, secretTimeout, serviceAccountName)", err)
	}
	if s.namespace = os.Getenv(namespaceVariable); s.namespace == "" {
		return settings{}, fmt.Errorf("environment variable %s is not set: it names the namespace that Ratify runs in", namespaceVariable)
	}
	if s.ServiceAccountName == "" {
		s.ServiceAccountName = defaultServiceAccount
	}
	if problems := validation.IsDNS1123Subdomain(s.ServiceAccountName); len(problems) > 0 {
		return settings{}, fmt.Errorf("serviceAccountName %q: %s", s.ServiceAccountName, problems[0])
	}
	if len(s.Secrets) > maxSecrets {
		return settings{}, fmt.Errorf("secrets has %d entries, more than %d", len(s.Secrets), maxSecrets)
	}
	for i := range s.Secrets {
		one := &s.Secrets[i]
		if one.Namespace == "" {
			one.Namespace = s.namespace
		}
		if problems := validation.IsDNS1123Subdomain(one.Name); len(problems) > 0 {
			return settings{}, fmt.Errorf("secrets[%d].secretName %q: %s", i, one.Name, problems[0])
		}
		if problems := validation.IsDNS1123Label(one.Namespace); len(problems) > 0 {
			return settings{}, fmt.Errorf("secrets[%d].namespace %q: %s", i, one.Namespace, problems[0])
		}
	}
	if s.SecretTimeout != nil {
		s.life = time.Duration(*s.SecretTimeout) * time.Second
	}
	return s, nil
}
