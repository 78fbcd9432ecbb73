//go:build slim

package builtin

const slim = true
