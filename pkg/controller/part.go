package controller

import "reflect"

// parts are what was made of resources.
type parts[T any] map[ID]part[T]

type part[T any] struct {
	uid  string // of the resource
	made T
	// usable says that there is made: of the resource as it is, or was when it could last be read.
	usable bool
	// spec is the last one that a part could be made of, if known.
	spec      spec
	known     bool
	mandatory bool
	err       error // why the resource as it is cannot be read
}

// renew makes the part of a resource, or one of the last spec that could be read, and then says why it is not a new one. With reuse, a part
// is kept as long as its resource does not change. Without, it is always made anew, of the last spec, too: there is more to it than its
// spec, and nothing may be trusted that is not there any more.
func (p parts[T]) renew(r resource, reuse bool, make func(s spec, block map[string]any) (made T, mandatory bool, err error)) part[T] {
	last := p[r.ID]
	if last.uid != r.uid {
		last = part[T]{uid: r.uid} // what it was made of is deleted
	}
	if reuse && last.usable && last.err == nil && reflect.DeepEqual(last.spec, r.spec) {
		return last
	}
	makeOf := func(s spec) (T, bool, error) {
		block, err := s.block()
		if err != nil {
			var none T
			return none, false, err
		}
		return make(s, block)
	}
	made, mandatory, err := makeOf(r.spec)
	if err == nil {
		return part[T]{uid: r.uid, made: made, usable: true, spec: r.spec, known: true, mandatory: mandatory}
	}
	last.err = err
	last.mandatory = last.mandatory || mandatory
	if last.known && !reuse {
		last.made, _, err = makeOf(last.spec)
		last.usable = err == nil
	}
	return last
}
