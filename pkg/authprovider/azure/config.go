package azure

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// defaultEndpoints are the registries of Azure's clouds.
var defaultEndpoints = []string{"*.azurecr.io", "*.azurecr.us", "*.azurecr.cn"}

// domain matches what may stand in endpoints: a host, or *. and a domain, either with a port.
var domain = regexp.MustCompile(`^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*(:[0-9]+)?$`)

// settings are a provider's configuration, read.
type settings struct {
	clientID, tenantID string
	endpoints          []string
}

// parse reads a block: clientID and endpoints. The workload's identity takes the block's clientID before AZURE_CLIENT_ID, the node's the
// other way round, as upstream does.
func parse(block map[string]any, environmentFirst bool) (settings, error) {
	s := settings{endpoints: defaultEndpoints}
	for _, key := range slices.Sorted(maps.Keys(block)) {
		value := block[key]
		var ok bool
		switch {
		case value == nil, strings.EqualFold(key, "name"):
			ok = true
		case strings.EqualFold(key, "clientID"):
			s.clientID, ok = value.(string)
		case strings.EqualFold(key, "endpoints"):
			s.endpoints, ok = readEndpoints(value)
		default:
			return settings{}, fmt.Errorf("unknown key %q: known are clientID, endpoints, name", key)
		}
		if !ok {
			return settings{}, fmt.Errorf("%s must be %s", key, map[bool]string{true: "text",
				false: "a list of hosts, or of *. and a domain"}[strings.EqualFold(key, "clientID")])
		}
	}
	if environment := os.Getenv("AZURE_CLIENT_ID"); environmentFirst {
		s.clientID = cmp.Or(environment, s.clientID)
	} else {
		s.clientID = cmp.Or(s.clientID, environment)
	}
	if s.clientID == "" {
		return settings{}, fmt.Errorf("clientID is not set, and neither is the environment variable AZURE_CLIENT_ID")
	}
	if s.tenantID = os.Getenv("AZURE_TENANT_ID"); s.tenantID == "" {
		return settings{}, fmt.Errorf("environment variable AZURE_TENANT_ID is not set")
	}
	return s, nil
}

func readEndpoints(value any) ([]string, bool) {
	list, ok := value.([]any)
	var endpoints []string
	for _, entry := range list {
		endpoint, isText := entry.(string)
		endpoint = strings.ToLower(endpoint)
		if !isText || !domain.MatchString(endpoint) {
			return nil, false
		}
		endpoints = append(endpoints, endpoint)
	}
	if len(endpoints) == 0 {
		endpoints = defaultEndpoints
	}
	return endpoints, ok
}

// covers tells whether a host is one of the endpoints. A * stands for one label.
func (s settings) covers(host string) bool {
	_, zone, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(s.endpoints, func(endpoint string) bool { return endpoint == host || endpoint == "*."+zone })
}
