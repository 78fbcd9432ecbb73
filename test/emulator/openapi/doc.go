// Package openapi is the gateway in front of Alibaba Cloud's RPC-style APIs: signatures, dispatch and the form of errors.
package openapi
