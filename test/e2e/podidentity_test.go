package main

import (
	"encoding/json"
	"testing"
)

func TestAppendTo(t *testing.T) {
	items := []object{{"name": "a"}, {"name": "b"}}
	for length, want := range map[int]string{
		0: `[{"op":"add","path":"/l","value":[{"name":"a"},{"name":"b"}]}]`,
		2: `[{"op":"add","path":"/l/-","value":{"name":"a"}},{"op":"add","path":"/l/-","value":{"name":"b"}}]`,
	} {
		if got, err := json.Marshal(appendTo("/l", length, items)); err != nil || string(got) != want {
			t.Errorf("to a list of %d: got %s, %v, want %s", length, got, err, want)
		}
	}
}
