// Package acr gets the temporary user names and passwords of Alibaba Cloud Container Registry (ACR) Enterprise Edition instances.
//
// A Client finds the instance that serves a registry host, and keeps one token per instance, renewed ahead of its end and
// fetched once however many ask for it. It covers the hosts that ParseHost knows and the custom domains of its Config, and no
// others: Token returns an error that wraps ErrNotCovered for them.
//
// API: https://www.alibabacloud.com/help/en/acr/developer-reference/api-cr-2018-12-01-overview
package acr
