// Package hosts runs programs that find the emulated cloud through a hosts file only, as upstream Ratify's binary does: each of the cloud's hosts
// gets a loopback address with a port 443, and the program a hosts file of its own, in a private mount namespace. That takes root on Linux, or
// a user namespace.
package hosts
