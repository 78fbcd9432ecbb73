package cluster

import (
	"archive/tar"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
)

func TestStoreMakesAnImage(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := memory.New()
	at, err := Image{Files: map[string]string{"/bin/program": program}, Entrypoint: []string{"/bin/program"}, User: "1:1"}.Store(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	var manifest ocispec.Manifest
	var config ocispec.Image
	decode := func(d ocispec.Descriptor, into any) {
		t.Helper()
		body, err := content.FetchAll(t.Context(), store, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatal(err)
		}
	}
	decode(at, &manifest)
	decode(manifest.Config, &config)
	if config.Config.User != "1:1" || len(config.RootFS.DiffIDs) != 1 || config.RootFS.DiffIDs[0] != manifest.Layers[0].Digest {
		t.Errorf("config: %+v, for the layer %s", config, manifest.Layers[0].Digest)
	}
	layer, err := content.FetchAll(t.Context(), store, manifest.Layers[0])
	if err != nil {
		t.Fatal(err)
	}
	header, err := tar.NewReader(bytes.NewReader(layer)).Next()
	if err != nil || header.Name != "bin/program" || header.Mode != 0o755 || header.Size != 7 {
		t.Errorf("the layer's file: %+v, %v", header, err)
	}
}

func TestProcessStartTellsProcessesApart(t *testing.T) {
	own, alive := processStart(os.Getpid())
	if !alive || own == "" {
		t.Fatal("this process is not there")
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if since, alive := processStart(cmd.Process.Pid); !alive || since == own {
		t.Errorf("another process: started at %s, as this one at %s, alive %v", since, own, alive)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if _, alive := processStart(cmd.Process.Pid); alive {
		t.Error("a process that has ended is alive")
	}
}

func TestPKI(t *testing.T) {
	p, err := newPKI(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(p.file("ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	for name, usage := range map[string]x509.ExtKeyUsage{"apiserver": x509.ExtKeyUsageServerAuth, "admin": x509.ExtKeyUsageClientAuth} {
		pair, err := tls.LoadX509KeyPair(p.file(name+".crt"), p.file(name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if name == "apiserver" && pair.Leaf.VerifyHostname(apiIP) != nil {
			t.Errorf("apiserver: not good for %s, where pods find it", apiIP)
		}
	}
}
