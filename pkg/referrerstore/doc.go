// Package referrerstore is Ratify's referrer store `oras`: it resolves subjects, lists their referrers, and reads manifests and blobs from
// OCI registries.
//
// All repositories of a registry share its connections and what is known of it: the challenge, the tokens, whether it has the referrers
// API. What several callers want at the same time is asked for once. Content is checked against its digest wherever it comes from.
//
// Errors tell facts about an artifact (ErrMalformed, ErrLimit) from not having found out (all others), because the former decide a verdict
// and the latter never must. ErrNotFound decides nothing either: what is missing may be pushed a moment later.
package referrerstore
