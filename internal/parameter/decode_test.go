package parameter

import (
	"errors"
	"testing"
)

func TestDecode(t *testing.T) {
	type inner struct {
		Deep bool `json:"deep"`
	}
	type flat struct {
		Name string            `json:"name"`
		List []string          `json:"list,omitempty"`
		Map  map[string]string `json:"map"`
		Long string            `json:"artifactTypes"`
		On   *bool             `json:"on"`
	}
	type nested struct {
		Inner inner `json:"inner"`
	}
	for name, tt := range map[string]struct {
		field, raw string
		target     any
		want       string
	}{
		"fits":             {"a", `{"name": "x", "LIST": ["y"], "on": true}`, &flat{}, ""},
		"list":             {"a", `{"list": "y"}`, &flat{}, "parameter a.list: is a JSON string where a list is expected"},
		"entry of a list":  {"a", `{"list": [7]}`, &flat{}, "parameter a.list: is a JSON number where a string is expected"},
		"map":              {"", `{"map": []}`, &flat{}, "parameter map: is a JSON array where an object is expected"},
		"truth":            {"", `{"on": "yes"}`, &flat{}, "parameter on: is a JSON string where true or false is expected"},
		"whole":            {"", `[]`, &flat{}, "parameter parameters: is a JSON array where an object is expected"},
		"misspelt":         {"a[0]", `{"artifactType": "x"}`, &flat{}, "parameter a[0].artifactType: is unknown; did you mean artifactTypes?"},
		"unknown":          {"a", `{"zzzzzzzz": "x"}`, &flat{}, "parameter a.zzzzzzzz: is unknown; known are name, list, map, artifactTypes, on"},
		"unknown inside":   {"a", `{"inner": {"depe": true}}`, &nested{}, "parameter a.depe: is unknown"},
		"type inside":      {"a", `{"inner": {"deep": 1}}`, &nested{}, "parameter a.inner.deep: is a JSON number where true or false is expected"},
		"not JSON":         {"a", `{`, &flat{}, "parameter a: unexpected EOF"},
		"a list as target": {"a", `{}`, &[]string{}, "parameter a: is a JSON object where a list is expected"},
	} {
		err := Decode(tt.field, []byte(tt.raw), tt.target)
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || err.Error() != tt.want):
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		case err != nil:
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("%s: %T", name, err)
			}
		}
	}
}
