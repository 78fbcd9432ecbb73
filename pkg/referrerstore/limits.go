package referrerstore

import "time"

// What is read from a registry has these limits.
const (
	// maxManifest is the size that the distribution specification asks registries to accept; larger manifests hardly exist.
	maxManifest = 4 << 20
	// maxBlob bounds one blob. Signatures have a few kilobytes, SBOMs and scan reports, which other verifiers read, some megabytes.
	maxBlob = 16 << 20
	// maxIndex bounds one page of a referrers list, and the index of the referrers tag.
	maxIndex = 4 << 20
	// maxPages bounds the pages of one referrers list, so that links in a circle end.
	maxPages = 20
	// maxReferrers bounds the referrers of one subject. Images have a handful; each costs requests and verifications.
	maxReferrers = 500
	// maxReference bounds the text of a reference, above the specification's 255 for a name, 128 for a tag and a SHA-512 digest.
	maxReference = 1 << 10
)

// What is kept has these, so that a replica needs about as much memory after ten thousand images as after one thousand.
const (
	// memoryBytes bounds the contents kept in memory: about a thousand signatures with their manifests. One that is not there any more is two
	// calls, once the verdict that it led to is older than its time.
	memoryBytes = 8 << 20
	// descriptorBytes and referrersBytes bound what is kept for the ttl, by rough cost: for 3,000 images and more, which are 300 new ones a second
	// with the ttl of Ratify's chart.
	descriptorBytes = 2 << 20
	referrersBytes  = 4 << 20
	// sizeBytes bounds the memory of which sizes manifests declare for their blobs, which are read right after the manifest: some thousands.
	sizeBytes = 2 << 20
	// descriptorCost is about what a descriptor takes besides its annotations.
	descriptorCost = 300
	// diskBytes bounds the disk cache.
	diskBytes = 256 << 20
	// noReferrersAPIFor is how long a registry that was seen without the referrers API is not asked for it again.
	noReferrersAPIFor = 10 * time.Minute
	// registryBytes bounds the memory of which registries those are.
	registryBytes = 1 << 20
)

// callTimeout ends one call of a store, with all its requests and repeats. It is about what Gatekeeper allows for a whole verification: a
// call that outlives its callers still fills the caches for their retry.
const callTimeout = 5 * time.Second
