package referrerstore

import "testing"

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
