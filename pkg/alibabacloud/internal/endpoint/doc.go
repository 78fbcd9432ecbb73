// Package endpoint reads the endpoints of cloud services from configuration, and tells why one could not be reached.
package endpoint
