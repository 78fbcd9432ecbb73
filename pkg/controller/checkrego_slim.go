//go:build slim

package controller

// checkRego accepts all policies: the slim build makes none of Rego, and says so. Rego's compiler would make it half as large again.
func checkRego(string) error { return nil }
