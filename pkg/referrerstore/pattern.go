package referrerstore

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// pattern names registries: one host, or with suffix all hosts below a domain. It is always compared whole.
type pattern struct {
	suffix bool
	host   string // in lower case; a suffix begins with its dot
	port   string // "" is the default port
}

// validHost is a DNS name, or an IPv4 address, in lower case.
var validHost = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

func parsePatterns(field string, value any) ([]pattern, error) {
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		return nil, fmt.Errorf("%s must be a list of registries, such as example.com:5000 or *.example.com, not %s", field, kind(value))
	}
	var patterns []pattern
	for i, entry := range list {
		text, ok := entry.(string)
		p, valid := parsePattern(text)
		if !ok || !valid {
			return nil, fmt.Errorf("%s[%d] must be a host, a host and port, or *. and a domain, not %s", field, i, kind(entry))
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

func parsePattern(text string) (pattern, bool) {
	host, port, ok := splitHost(text)
	p := pattern{host: host, port: port}
	if rest, found := strings.CutPrefix(host, "*."); found {
		p.suffix, p.host = true, "."+rest
		host = rest
	}
	return p, ok && (validHost.MatchString(host) || !p.suffix && isIPv6(host))
}

// isIPv6 tells whether host is an IPv6 address in its brackets.
func isIPv6(host string) bool {
	inner, ok := strings.CutPrefix(host, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	address, err := netip.ParseAddr(inner)
	return ok && closed && err == nil && address.Is6() && address.Zone() == ""
}

// splitHost takes host[:port] apart, in lower case. The port of https is no port.
func splitHost(text string) (host, port string, ok bool) {
	host = strings.ToLower(text)
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') { // IPv6 addresses stand in brackets
		host, port = host[:colon], host[colon+1:]
		if port == "" || strings.Trim(port, "0123456789") != "" {
			return "", "", false
		}
	}
	if port == "443" {
		port = ""
	}
	return host, port, true
}

// dockerHub are the names of one registry: that of references, that of Docker's configuration, and the host that serves it.
var dockerHub = []string{"docker.io", "index.docker.io", "registry-1.docker.io"}

// names tells whether the pattern names the registry host[:port].
func (p pattern) names(registry string) bool {
	host, port, ok := splitHost(registry)
	if slices.Contains(dockerHub, host) {
		return slices.ContainsFunc(dockerHub, func(alias string) bool { return p.matches(alias, port) })
	}
	return ok && p.matches(host, port)
}

func (p pattern) matches(host, port string) bool {
	if p.port != port {
		return false
	}
	if p.suffix {
		return strings.HasSuffix(host, p.host) && len(host) > len(p.host)
	}
	return host == p.host
}

// weight orders patterns that match the same registry: a host's name before any suffix, a longer suffix before a shorter one.
func (p pattern) weight() int {
	if p.suffix {
		return len(p.host)
	}
	return 1 << 20
}
