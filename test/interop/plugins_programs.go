package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// program writes a verifier or store plugin as a shell script.
func (e *environment) program(name, script string) error {
	path, err := e.write(filepath.Join("plugins", name), []byte("#!/bin/sh\n"+script+"\n"))
	if err != nil {
		return err
	}
	return os.Chmod(path, 0o700)
}

func misbehaviour(ctx context.Context, e *environment) error {
	i, err := e.pluginImage(ctx, "misbehaviour")
	if err != nil {
		return err
	}
	if _, err := i.attach(ctx, i.desc, spdxJSON, cleanSBOM, time.Now()); err != nil {
		return err
	}
	const success = `echo '{"isSuccess": true, "message": "fine"}'`
	for _, c := range []struct{ name, script, outcome, says string }{
		{"good", "echo INFO: starting >&2; " + success, "verified", "fine"},
		{"bad", `echo '{"isSuccess": false, "message": "not fine"}'`, "refused", "not fine"},
		{"crashing", success + "; echo out of memory >&2; exit 3", "undetermined", "exit status 3; it said: out of memory"},
		{"killed", success + "; kill -9 $$", "undetermined", "signal: killed"},
		{"flooding", "yes", "undetermined", "printed more than 16777216 bytes"},
		{"ambiguous", success + "; " + success, "undetermined", "2 JSON objects"},
		{"silent", "true", "undetermined", "no JSON object"},
		{"evasive", "echo '{}'", "undetermined", "isSuccess is there 0 times"},
		{"offline", `echo '{"isSuccess": false, "message": "Failed to fetch blob for subject: x", "errorReason": "EOF"}'`, "undetermined",
			"could not read what it needs"},
	} {
		if err := e.program(c.name, c.script); err != nil {
			return err
		}
		config := e.pluginConfig(map[string]any{everyArtifact: "all"}, map[string]any{"name": c.name, "artifactTypes": spdxJSON})
		if err := e.expect(ctx, c.outcome, config, i.ref, []string{c.says}); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// downloaded verifies with a program that is an image's layer. Ratify downloads it when it loads its configuration.
func downloaded(ctx context.Context, e *environment) error {
	plugin, err := e.pluginImage(ctx, "dynamic/plugin")
	if err != nil {
		return err
	}
	const script = "#!/bin/sh\ncase $RATIFY_VERIFIER_SUBJECT in */good@*) ok=true;; *) ok=false;; esac\n" +
		`echo "{\"isSuccess\": $ok, \"message\": \"asked about $RATIFY_VERIFIER_SUBJECT\"}"` + "\n"
	layer, err := oras.PushBytes(ctx, plugin.repo, "application/vnd.ratify.plugin.v1", []byte(script))
	if err != nil {
		return err
	}
	manifest, err := oras.PackManifest(ctx, plugin.repo, oras.PackManifestVersion1_1, "application/vnd.ratify.plugin", oras.PackManifestOptions{
		Layers: []ocispec.Descriptor{layer}})
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(e.dir, "plugins"), 0o700); err != nil {
		return err
	}
	config := e.pluginConfig(map[string]any{everyArtifact: "all"}, map[string]any{
		"name": "dynamic", "artifactTypes": spdxJSON,
		"source": map[string]any{"artifact": scenario.Demo.Host + "/dynamic/plugin@" + manifest.Digest.String()},
	})
	e.env = append(e.env, "RATIFY_EXPERIMENTAL_DYNAMIC_PLUGINS=1")
	return e.cases(ctx, config, "dynamic", []pluginCase{
		{"good", spdxJSON, cleanSBOM, time.Time{}, "verified", []string{"asked about"}},
		{"bad", spdxJSON, cleanSBOM, time.Time{}, "refused", []string{"asked about"}},
	})
}

// externalStore asks a store plugin, which has its answers in files, about an image that no registry has.
func externalStore(ctx context.Context, e *environment) error {
	if err := e.program("files", `cd "$(dirname "$0")/../answers" && cat "$RATIFY_STORE_COMMAND"`); err != nil {
		return err
	}
	good, _, verifiers, err := signers(e)
	if err != nil {
		return err
	}
	i, err := e.push(ctx, scenario.Demo, "files")
	if err != nil {
		return err
	}
	envelope, err := good.Envelope(i.desc, signing.JWS, time.Now())
	if err != nil {
		return err
	}
	blob := ocispec.Descriptor{MediaType: signing.JWS, Digest: digest.FromBytes(envelope), Size: int64(len(envelope))}
	manifest := map[string]any{"mediaType": ocispec.MediaTypeImageManifest, "artifactType": notationType, "blobs": []any{blob}, "subject": i.desc}
	for command, answer := range map[string]any{
		"GETSUBJECTDESCRIPTOR": i.desc,
		"LISTREFERRERS": map[string]any{"referrers": []any{map[string]any{"mediaType": ocispec.MediaTypeImageManifest, "artifactType": notationType,
			"digest": digest.FromString("manifest"), "size": 8}}},
		"GETREFMANIFEST": manifest,
	} {
		content, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		if _, err := e.write(filepath.Join("answers", command), content); err != nil {
			return err
		}
	}
	var c map[string]any
	if err := json.Unmarshal(e.pluginConfig(map[string]any{notationType: "any"}, verifiers[0]), &c); err != nil {
		return err
	}
	c["store"] = map[string]any{"version": "1.0.0", "pluginBinDirs": []string{filepath.Join(e.dir, "plugins")},
		"plugins": []any{map[string]any{"name": "files"}}}
	config, err := json.Marshal(c)
	if err != nil {
		return err
	}
	ref := strings.Replace(i.ref, scenario.Demo.Host, "nowhere.example", 1)
	if _, err := e.write("answers/GETBLOB", envelope); err != nil {
		return err
	}
	if err := e.admits(ctx, config, ref, "CN=builder"); err != nil {
		return err
	}
	if _, err := e.write("answers/GETBLOB", signing.Tamper(envelope)); err != nil {
		return err
	}
	if err := e.cannotTell(ctx, config, ref, "bytes with digest"); err != nil {
		return err
	}
	if _, err := e.write("answers/LISTREFERRERS", []byte(`{"referrers": []}`)); err != nil {
		return err
	}
	return e.refuses(ctx, config, ref, "no signature was found")
}
