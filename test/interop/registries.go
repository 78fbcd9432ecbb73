package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/network"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator/registry"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/scenario"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// The rows for registries of all kinds, and the ways to them. Those of other clouds are in registries_clouds.go.
var registriesRows = []row{
	{"Registries", "Docker's configuration file", dockerConfigFile},
	{"Registries", "several auth providers in one store, by pattern", severalProviders},
	{"Registries", "a certificate authority of one registry", privateCA},
	{"Registries", "an HTTP proxy with a password", httpProxy},
	{"Registries", "plain HTTP where it is asked for, and only there", plainHTTP},
	{"Registries", "localhost, and names that look like it", localhost},
}

// dockerUser is who may pull from the registries here.
const (
	dockerUser     = "robot"
	dockerPassword = "correct-horse"
)

// locked returns a registry for the docker user.
func locked() *registry.Registry {
	return registry.New(func(user, password string) bool { return user == dockerUser && password == dockerPassword })
}

// dockerAuths returns Docker's configuration with a password of the docker user for a registry.
func dockerAuths(host, password string) []byte {
	content, err := dockerConfig(host, dockerUser, password)
	if err != nil {
		panic(err) // only for what cannot be encoded
	}
	return content
}

// signedAt pushes an image to a registry at a host, past its lock, signs it, and returns it with what is trusted, the signer.
func signedAt(ctx context.Context, host string, open http.Handler, repository string) (image, trust, error) {
	signer, err := signing.SelfSigned("registries")
	if err != nil {
		return image{}, trust{}, err
	}
	t := trust{policy: everywhere("strict", "ca:certs"), stores: map[string]string{"ca:certs": signer.PEM()}}
	i, err := signAt(ctx, host, open, repository, signer)
	return i, t, err
}

func signAt(ctx context.Context, host string, open http.Handler, repository string, signer signing.Identity) (image, error) {
	repo, err := signing.Repository(host+"/"+repository, registry.Direct(open))
	if err != nil {
		return image{}, err
	}
	i, err := pushTo(ctx, repo)
	if err != nil {
		return image{}, err
	}
	return i, signer.Sign(ctx, repo, i.desc, signing.JWS)
}

// orasStore returns the configuration of a store, with more keys.
func orasStore(more map[string]any) map[string]any {
	store := map[string]any{"name": "oras"}
	for key, value := range more {
		store[key] = value
	}
	return store
}

// expectations are what becomes of an image with stores that differ.
type expectation struct {
	image   image
	store   map[string]any
	outcome string
	words   []string
}

// expectAll verifies with each store.
func (e *environment) expectAll(ctx context.Context, t trust, all ...expectation) error {
	for _, one := range all {
		t.store = one.store
		config, err := e.config(t)
		if err != nil {
			return err
		}
		if err := e.expect(ctx, one.outcome, config, one.image.ref, one.words); err != nil {
			return err
		}
	}
	return nil
}

func dockerConfigFile(ctx context.Context, e *environment) error {
	g := locked()
	server := g.Serve(true)
	defer server.Close()
	i, t, err := signedAt(ctx, server.Host, g.Open(), "docker/app")
	if err != nil {
		return err
	}
	store := func(name string, content []byte) map[string]any {
		path, writeErr := e.write(name, content)
		if writeErr != nil {
			err = writeErr
		}
		return orasStore(map[string]any{"authProvider": map[string]any{"name": "dockerConfig", "configPath": path}})
	}
	right, wrong := store("right.json", dockerAuths(server.Host, dockerPassword)), store("wrong.json", dockerAuths(server.Host, "battery-staple"))
	elsewhere := store("elsewhere.json", dockerAuths("elsewhere.example", dockerPassword))
	if err != nil {
		return err
	}
	return e.expectAll(ctx, t,
		expectation{i, right, "verified", nil},
		expectation{i, wrong, "undetermined", []string{"refused the credentials of auth provider dockerConfig", "401"}},
		expectation{i, elsewhere, "undetermined", []string{"refused anonymous access", "dockerConfig has no entry for " + server.Host}})
}

func severalProviders(ctx context.Context, e *environment) error {
	lockedAt, openAt, strangeAt := locked(), registry.New(nil), locked()
	signer, err := signing.SelfSigned("registries")
	if err != nil {
		return err
	}
	t := trust{policy: everywhere("strict", "ca:certs"), stores: map[string]string{"ca:certs": signer.PEM()}}
	servers, images := map[*registry.Registry]*registry.Server{}, map[*registry.Registry]image{}
	for _, g := range []*registry.Registry{lockedAt, openAt, strangeAt} {
		servers[g] = g.Serve(true)
		defer servers[g].Close()
		if images[g], err = signAt(ctx, servers[g].Host, g.Open(), "several/app", signer); err != nil {
			return err
		}
	}
	acr, err := e.push(ctx, scenario.Demo, "several/app")
	if err == nil {
		err = signer.Sign(ctx, acr.repo, acr.desc, signing.JWS)
	}
	if err != nil {
		return err
	}
	path, err := e.write("docker.json", dockerAuths(servers[lockedAt].Host, dockerPassword))
	if err != nil {
		return err
	}
	store := func(instance string) map[string]any {
		return orasStore(map[string]any{"authProviders": []any{
			map[string]any{"name": "alibabacloudAcrBasic", "defaultInstanceId": instance, "registries": []any{"*.cr.aliyuncs.com"}},
			map[string]any{"name": "dockerConfig", "configPath": path, "registries": []any{servers[lockedAt].Host}},
		}})
	}
	right, failing := store(scenario.Demo.ID), store("cri-wrong00000000001")
	return e.expectAll(ctx, t,
		expectation{acr, right, "verified", nil},
		expectation{images[lockedAt], right, "verified", nil},
		expectation{images[openAt], right, "verified", nil},
		expectation{images[strangeAt], right, "undetermined", []string{"no entry of authProviders names " + servers[strangeAt].Host}},
		// A provider that fails fails its own registries, and no others.
		expectation{acr, failing, "undetermined", []string{"cri-wrong00000000001"}},
		expectation{images[lockedAt], failing, "verified", nil},
		expectation{images[openAt], failing, "verified", nil})
}

// Hosts of a company's own network, whose authority the system does not trust.
const (
	corpHost  = "registry.corp.example"
	otherHost = "other.corp.example"
	fakeHost  = "localhost.corp.example"
)

// company is a network with one registry under several names.
func company(g *registry.Registry) (*network.Network, error) {
	return network.New(func(host string) network.Service {
		switch host {
		case corpHost, otherHost, fakeHost:
			return g
		}
		return nil
	}, slog.New(slog.DiscardHandler))
}

func privateCA(ctx context.Context, e *environment) error {
	g := registry.New(nil)
	n, err := company(g)
	if err != nil {
		return err
	}
	defer n.Close()
	e.env = []string{"HTTPS_PROXY=" + n.ProxyURL()}
	i, t, err := signedAt(ctx, corpHost, g.Open(), "private/app")
	if err != nil {
		return err
	}
	path, err := e.write("corp-ca.crt", n.CAPEM())
	if err != nil {
		return err
	}
	store := func(host, ca string) map[string]any {
		return orasStore(map[string]any{"registries": []any{map[string]any{"host": host, "caBundle": ca}}})
	}
	stranger, err := signing.Root("Stranger")
	if err != nil {
		return err
	}
	return e.expectAll(ctx, t,
		expectation{i, store(corpHost, path), "verified", nil},
		expectation{i, store("*.corp.example", string(n.CAPEM())), "verified", nil},
		expectation{i, store(otherHost, path), "undetermined", []string{corpHost, "caBundle"}},
		expectation{i, store(corpHost, stranger.PEM()), "undetermined", []string{corpHost, "caBundle"}})
}

func httpProxy(ctx context.Context, e *environment) error {
	g := registry.New(nil)
	n, err := company(g)
	if err != nil {
		return err
	}
	defer n.Close()
	const authorization = "Basic cHJveHk6b3BlbiBzZXNhbWU=" // proxy:open sesame
	proxy := httptest.NewServer(n.LockedProxy(func(r *http.Request) bool { return r.Header.Get("Proxy-Authorization") == authorization }))
	defer proxy.Close()
	i, t, err := signedAt(ctx, corpHost, g.Open(), "proxy/app")
	if err != nil {
		return err
	}
	store := orasStore(map[string]any{"caBundle": string(n.CAPEM())})
	address := strings.TrimPrefix(proxy.URL, "http://")
	for _, c := range []struct {
		proxy string
		want  expectation
	}{
		{"http://proxy:open%20sesame@" + address, expectation{i, store, "verified", nil}},
		{"http://proxy:wrong-word@" + address, expectation{i, store, "undetermined", []string{"proxy " + address + " answered 407"}}},
		{"http://127.0.0.1:1", expectation{i, store, "undetermined", []string{"127.0.0.1:1", "HTTPS_PROXY"}}},
	} {
		e.env = []string{"HTTPS_PROXY=" + c.proxy}
		if err := e.expectAll(ctx, t, c.want); err != nil {
			return err
		}
	}
	return nil
}

func plainHTTP(ctx context.Context, e *environment) error {
	g := locked()
	server := g.Serve(false)
	defer server.Close()
	i, t, err := signedAt(ctx, server.Host, g.Open(), "plain/app")
	if err != nil {
		return err
	}
	path, err := e.write("docker.json", dockerAuths(server.Host, dockerPassword))
	if err != nil {
		return err
	}
	store := func(more map[string]any) map[string]any {
		more["authProvider"] = map[string]any{"name": "dockerConfig", "configPath": path}
		return orasStore(more)
	}
	host := func(host string) map[string]any {
		return store(map[string]any{"registries": []any{map[string]any{"host": host, "useHttp": true}}})
	}
	return e.expectAll(ctx, t,
		expectation{i, store(map[string]any{"useHttp": true}), "verified", nil},
		expectation{i, host(server.Host), "verified", nil},
		expectation{i, host("other.corp.example"), "undetermined", []string{"set useHttp"}},
		expectation{i, store(map[string]any{}), "undetermined", []string{"set useHttp"}})
}

func localhost(ctx context.Context, e *environment) error {
	g := registry.New(nil)
	server := g.Serve(true) // with a certificate that nobody trusts
	defer server.Close()
	n, err := company(g)
	if err != nil {
		return err
	}
	defer n.Close()
	e.env = []string{"HTTPS_PROXY=" + n.ProxyURL()}
	_, port, _ := strings.Cut(server.Host, ":")
	signer, err := signing.SelfSigned("registries")
	if err != nil {
		return err
	}
	t := trust{policy: everywhere("strict", "ca:certs"), stores: map[string]string{"ca:certs": signer.PEM()}}
	for _, c := range []struct {
		host, outcome string
		words         []string
	}{
		{"localhost:" + port, "verified", nil},
		{"127.0.0.1:" + port, "verified", nil},
		{fakeHost, "undetermined", []string{fakeHost, "certificate"}},
	} {
		i, err := signAt(ctx, c.host, g.Open(), "local/app", signer)
		if err != nil {
			return err
		}
		if err := e.expectAll(ctx, t, expectation{i, orasStore(nil), c.outcome, c.words}); err != nil {
			return fmt.Errorf("%s: %w", c.host, err)
		}
	}
	return nil
}
