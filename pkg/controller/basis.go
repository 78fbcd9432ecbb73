package controller

import (
	"path/filepath"
	"reflect"
	"slices"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
)

// basis is what a store or verifier was made of besides its spec. A part is kept, with all verdicts that it took part in, as long as its spec and
// its basis are what they were: nothing may be trusted that is not there any more.
type basis struct {
	// answers are those of key management providers, by their references.
	answers map[string]answer
	// files says that files were read, which may change at any time.
	files bool
	// sources are what is downloaded to the path of the program, by all resources together: the last one to be downloaded is what runs.
	sources []any
}

// answer is what a key management provider holds for who asks, or why it has nothing for them.
type answer struct {
	held config.KeyMaterial
	err  error
}

func (a answer) same(other answer) bool {
	if a.err == nil && other.err == nil {
		return a.held.Same(other.held)
	}
	return a.err != nil && other.err != nil && a.err.Error() == other.err.Error()
}

// holds tells whether a part of a resource that was made on a basis would find the same today.
func (b *build) holds(r resource, was basis) bool {
	if was.files || !reflect.DeepEqual(was.sources, b.sources[r.spec.program()]) {
		return false
	}
	now := newReader(b.keyMaterial, r.Namespace)
	for reference, told := range was.answers {
		if !told.same(now.ask(reference)) {
			return false
		}
	}
	return true
}

// program is the path of the program that a spec stands for, if it is not built in.
func (s spec) program() string { return filepath.Join(s.pluginDirs()[0], s.kind) }

// source is what a resource has downloaded; nil: nothing. Only cluster-wide ones may.
func (r resource) source() any {
	if r.Namespace != "" {
		return nil
	}
	block, err := r.spec.block()
	if err != nil {
		return nil
	}
	return block["source"]
}

// sourcesOf returns what resources have downloaded, by the paths of their programs.
func sourcesOf(resources ...[]resource) map[string][]any {
	all := make(map[string][]any)
	for _, r := range slices.Concat(resources...) {
		if source := r.source(); source != nil {
			all[r.spec.program()] = append(all[r.spec.program()], source)
		}
	}
	return all
}
