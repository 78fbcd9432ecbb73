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

// What is kept has these.
const (
	// memoryBytes bounds the contents kept in memory: thousands of signatures with their manifests.
	memoryBytes = 64 << 20
	// descriptorBytes and referrersBytes bound the lists kept for the ttl, by rough cost.
	descriptorBytes = 8 << 20
	referrersBytes  = 16 << 20
	// sizeBytes bounds the memory of which sizes manifests declare for their blobs.
	sizeBytes = 8 << 20
	// descriptorCost is about what a descriptor takes besides its key and annotations.
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
