package controller

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/pkg/config"
)

// basis is what a store or verifier was made of besides its spec. A part is kept, with all verdicts that it took part in, as long as its spec and
// its basis are what they were: nothing may be trusted that is not there any more.
type basis struct {
	answers config.Answers
	// files says that files were read, which may change at any time.
	files bool
	// sources are what is downloaded to the path of the program, by all resources together: the last one to be downloaded is what runs.
	sources []any
	// downloads is how many were downloaded there. It counts for what downloads nothing itself: a program of the same source may be another one,
	// or come later, where the download failed at first.
	downloads int
}

// basisOf returns what is to be known of the program of a spec once a part was made of it.
func (b *build) basisOf(s spec) basis {
	return basis{sources: b.sources[s.program()], downloads: b.downloads[s.program()]}
}

// downloaded counts what the block has downloaded, when a part was made of it, or could not be: because of err.
func (b *build) downloaded(id ID, s spec, block map[string]any, err error) {
	if id.Namespace == "" && block["source"] != nil && !errors.Is(err, config.ErrDownload) {
		b.downloads[s.program()]++
	}
}

// holds tells whether a part of a resource that was made on a basis would find the same today. With away, what the resource has downloaded by now
// could not be: its part runs what is there.
func (b *build) holds(r resource, was basis, away bool) bool {
	now := b.basisOf(r.spec)
	same := reflect.DeepEqual(was.sources, now.sources)
	if away || r.source() == nil {
		same = was.downloads == now.downloads
	}
	return same && !was.files && was.answers.Hold(reader{b.keyMaterial, r.Namespace}.find)
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

// downloadsFirst returns resources in the order in which they are made: those that have a program downloaded before those that may run it.
func downloadsFirst(resources []resource) []resource {
	downloads := func(r resource) bool { return r.source() != nil }
	without := func(r resource) bool { return r.source() == nil }
	return slices.Concat(slices.DeleteFunc(slices.Clone(resources), without), slices.DeleteFunc(slices.Clone(resources), downloads))
}
