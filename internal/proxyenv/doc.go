// Package proxyenv checks the environment variables that name proxies.
package proxyenv
