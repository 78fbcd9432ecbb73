// Package authprovider says what an auth provider is, and is the one of Alibaba Cloud, `alibabacloudAcrBasic`: it hands the store the temporary
// credentials of Container Registry (ACR) instances. It is thin; package acr does the work.
package authprovider
