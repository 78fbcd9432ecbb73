// Package store opens the store of this module for plugins of a stock Ratify: processes that live for one call.
package store
