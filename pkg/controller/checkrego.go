//go:build !slim

package controller

import (
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

var inwardCapabilities = sync.OnceValue(func() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool { return slices.Contains(outward, b.Name) })
	return c
})

// checkRego compiles a policy as Ratify does, but for what it may call.
func checkRego(policy string) error {
	const name = "policy.rego"
	module, err := ast.ParseModuleWithOpts(name, strings.TrimSpace(policy), ast.ParserOptions{RegoVersion: ast.RegoV0, Capabilities: inwardCapabilities()})
	if err != nil {
		return err
	}
	compiler := ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV0).WithCapabilities(inwardCapabilities())
	if compiler.Compile(map[string]*ast.Module{name: module}); compiler.Failed() {
		return compiler.Errors
	}
	return nil
}
