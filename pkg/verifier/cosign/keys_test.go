package cosign

import (
	"slices"
	"testing"

	"github.com/ratify-project/ratify/pkg/keymanagementprovider"
)

// A name alone means all of the key's versions, and whether a provider says that a key is enabled does not matter: what is not is not there.
func TestKeysOfAProvider(t *testing.T) {
	held := keyMap{}
	for _, at := range []keymanagementprovider.KMPMapKey{
		{Name: "a", Version: "1"}, {Name: "a", Version: "2", Enabled: true}, {Name: "b", Version: "1"}, {Name: "c"},
	} {
		held[at] = keymanagementprovider.PublicKey{Key: newKey(t).Public(), ProviderType: "inline"}
	}
	for _, tt := range []struct {
		name, version string
		want          []string
	}{
		{"", "", []string{"a 1", "a 2", "b 1", "c "}},
		{"a", "", []string{"a 1", "a 2"}},
		{"a", "2", []string{"a 2"}},
		{"a", "3", nil},
		{"b", "1", []string{"b 1"}},
		{"c", "", []string{"c "}},
	} {
		keys, err := keysOf(t.Context(), "keys[0]", keyParameters{Provider: "p", Name: tt.name, Version: tt.version}, Options{Keys: providers{"p": held}.keys})
		var got []string
		for _, key := range keys {
			got = append(got, key.Name+" "+key.Version)
		}
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.want != nil) {
			t.Errorf("name %q, version %q: %v, %v; want %v", tt.name, tt.version, got, err, tt.want)
		}
	}
}
