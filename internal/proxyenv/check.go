package proxyenv

import (
	"fmt"
	"net/url"
	"os"
	"slices"
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

// isProxy tells whether net/http takes value, which may lack the scheme.
func isProxy(value string) bool {
	if u, err := url.Parse(value); err == nil && slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return u.Host != ""
	}
	u, err := url.Parse("http://" + value)
	return err == nil && u.Host != ""
}
