package proxyenv

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// variables are those that net/http goes by.
var variables = []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"}

// Check returns an error that names the variable which does not hold the URL of a proxy. It does not show the value, as net/http does with each
// request: proxies may have passwords.
func Check() error {
	for _, name := range variables {
		if value := os.Getenv(name); value != "" && !isProxy(value) {
			return fmt.Errorf("%s is not the URL of a proxy: it must be like http://proxy.example.com:3128 or http://user:password@proxy.example.com:3128, "+
				"with special characters of the password percent-encoded", name)
		}
	}
	return nil
}

// isProxy tells whether value is a URL of net/http's schemes, or a host that lacks the scheme.
func isProxy(value string) bool {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	return err == nil && u.Host != "" && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme)
}
