package referrerstore

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ratify-project/ratify/pkg/common"
)

// What a verification asks of the store: when everything is in its caches, and when the subject and its referrers are asked for anew.
func BenchmarkStore(b *testing.B) {
	for _, of := range []struct {
		name   string
		cached bool
	}{{"cached", true}, {"stale", false}} {
		b.Run(of.name, func(b *testing.B) {
			c := startCloud(b)
			s := c.store()
			s.settings.cacheEnabled = of.cached
			subject := c.image(demoID, demoHost, "bench/app", "signature")
			b.ReportAllocs()
			for b.Loop() {
				if blobs, err := verify(b.Context(), s, subject); err != nil || len(blobs) != 1 {
					b.Fatal(blobs, err)
				}
			}
		})
	}
}

// What an image of a new repository costs, and what its five calls cost with nothing around them, which is the least that it can be.
func BenchmarkNewRepository(b *testing.B) {
	c := startCloud(b)
	var images []common.Reference
	for n := range 400 {
		images = append(images, c.image(demoID, demoHost, fmt.Sprint("bench/app-", n), "signature"))
	}
	known := c.image(demoID, demoHost, "bench/known", "signature")
	b.Run("store", func(b *testing.B) {
		var s *Store
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if n%len(images) == 0 { // all are known
				b.StopTimer()
				s = c.store()
				s.settings.cosign = false
				if _, err := verify(b.Context(), s, known); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			if blobs, err := verify(b.Context(), s, images[n%len(images)]); err != nil || len(blobs) != 1 {
				b.Fatal(blobs, err)
			}
		}
	})
	b.Run("exchanges", func(b *testing.B) {
		transport := c.Transport()
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		user, password := c.OwnerPassword(demoID)
		exchange := func(method, url, bearer string) []byte {
			request, err := http.NewRequestWithContext(b.Context(), method, url, nil)
			if err != nil {
				b.Fatal(err)
			}
			if request.SetBasicAuth(user, password); bearer != "" {
				request.Header.Set("Authorization", "Bearer "+bearer)
			}
			response, err := client.Do(request)
			if err != nil {
				b.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != http.StatusOK {
				b.Fatal(response.Status, err)
			}
			return body
		}
		decode := func(data []byte, into any) {
			if err := json.Unmarshal(data, into); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			image := images[n%len(images)]
			repository := image.Path[len(demoHost)+1:]
			var token struct{ Token string }
			decode(exchange(http.MethodGet, "https://"+authHost+"/auth?service=registry.aliyuncs.com:cn-hangzhou:"+demoID+"&scope=repository:"+repository+":pull", ""), &token)
			base := "https://" + demoHost + "/v2/" + repository
			exchange(http.MethodHead, base+"/manifests/"+image.Digest.String(), token.Token)
			var referrers ocispec.Index
			decode(exchange(http.MethodGet, base+"/referrers/"+image.Digest.String(), token.Token), &referrers)
			var manifest ocispec.Manifest
			decode(exchange(http.MethodGet, base+"/manifests/"+referrers.Manifests[0].Digest.String(), token.Token), &manifest)
			exchange(http.MethodGet, base+"/blobs/"+manifest.Layers[0].Digest.String(), token.Token)
		}
	})
}
