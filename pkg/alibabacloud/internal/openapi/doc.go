// Package openapi makes calls of Alibaba Cloud's RPC-style APIs through the OpenAPI SDK, which signs them: bounded, within their context,
// with the trust of the given HTTP client only, and with all that the service answered.
package openapi
