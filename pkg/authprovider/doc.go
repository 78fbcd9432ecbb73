// Package authprovider is the Ratify auth provider `alibabacloudAcrBasic`: it hands the store the temporary credentials of
// Alibaba Cloud Container Registry (ACR) instances. It is thin; package acr does the work.
//
// Importing it registers the provider with Ratify. Ratify's own provider of that name must not be linked into the same
// process: both cannot be registered.
package authprovider
