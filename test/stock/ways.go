package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
)

// way is a Ratify with or without plugins.
type way struct {
	name string
	// image is whether it is the binary of our image, and not upstream's.
	image bool
	// store and verifier are whether it has these plugins.
	store, verifier bool
	// kms is whether trust anchors come from KMS.
	kms bool
	// edit changes the configuration of the store and of the verifier.
	edit func(store, verifier map[string]any)
}

var (
	alone    = way{name: "stock alone"}
	onStore  = way{name: "store plugin", store: true}
	onVerify = way{name: "verifier plugin", verifier: true}
	both     = way{name: "both plugins", store: true, verifier: true}
	bothKMS  = way{name: "both plugins, KMS", store: true, verifier: true, kms: true}
	ours     = way{name: "image", image: true}
	oursKMS  = way{name: "image, KMS", image: true, kms: true}
)

// with returns the way with one more setting of the store.
func (w way) with(name, key string, value any) way {
	w.name += ", " + name
	w.edit = func(store, _ map[string]any) { store[key] = value }
	return w
}

// admits tells whether the way should admit an image. Ratify's runner of external stores loses blobs that are no JSON.
func (w way) admits(i image) bool { return i.admitted && !(i.cose && w.store && !w.verifier) }

// config writes config.json of a way, with programs from a folder, and returns its path.
func (e *environment) config(w way, plugins string) (string, error) {
	content := e.world.Config(func(config map[string]any) {
		stores, verifiers := config["store"].(map[string]any), config["verifier"].(map[string]any)
		store, verifier := stores["plugins"].([]any)[0].(map[string]any), verifiers["plugins"].([]any)[0].(map[string]any)
		kms := map[string]any{"name": "anchors", "type": "alibabacloudkms", "region": scenario.Demo.Region,
			"certificates": []any{map[string]any{"secretName": secret}}}
		delete(config, "keyManagementProvider")
		stores["pluginBinDirs"], verifiers["pluginBinDirs"] = []any{plugins}, []any{plugins}
		if w.store {
			store["name"] = "alibabacloudacr"
		}
		if w.verifier {
			verifier["name"] = "alibabacloudnotation"
		}
		switch {
		case w.kms && w.image:
			config["keyManagementProvider"] = map[string]any{"plugins": []any{kms}}
			verifier["verificationCertStores"] = map[string]any{"certs": []any{"anchors"}}
		case w.kms:
			verifier["keyManagementProviders"] = []any{kms}
			verifier["verificationCertStores"] = map[string]any{"certs": []any{"anchors"}}
		default:
			delete(verifier, "verificationCertStores")
			verifier["verificationCerts"] = []any{e.world.anchors}
		}
		if !w.image {
			// Ratify's own 2.9 s are for a machine that has nothing else to do.
			config["executor"] = map[string]any{"verificationRequestTimeout": 20000}
		}
		if w.edit != nil {
			w.edit(store, verifier)
		}
	})
	e.configs++
	path := filepath.Join(e.dir, fmt.Sprintf("config-%d.json", e.configs))
	return path, os.WriteFile(path, content, 0o600)
}
