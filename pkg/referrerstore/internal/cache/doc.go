// Package cache keeps what was read from registries: in memory, bounded by what it costs and optionally by age, and on disk,
// bounded in bytes and checked on every read.
package cache
