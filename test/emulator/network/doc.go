// Package network is the emulated cloud's part of the internet: names, TLS, a CONNECT proxy, and faults.
//
// Each host name has a TLS listener of its own on 127.0.0.1, made when the name is first used, so that it is the listener
// and not the request's Host header that says which host was meant. The proxy leads production names on port 443 to these
// listeners and everything else nowhere: no connection leaves the machine. Latency and faults are set per host.
package network
