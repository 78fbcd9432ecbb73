// Package depcheck holds the test that keeps the way of the data: which of the module's packages may import which. It has no code of its own.
package depcheck
