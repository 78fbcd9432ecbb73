// Package rrsa gives the process its Alibaba Cloud identity.
//
// That is the RAM role of its service account (RRSA): the webhook ack-pod-identity-webhook mounts an OIDC token and sets
// environment variables, and Provider exchanges the token for sessions of the role with STS's AssumeRoleWithOIDC. A session is
// kept, renewed ahead of its end, and fetched once however many ask for it.
//
// Where there is no RRSA, NewSDK makes a Source of any other credential type of credentials-go.
//
// RRSA: https://www.alibabacloud.com/help/en/ack/ack-managed-and-ack-dedicated/user-guide/use-rrsa-to-authorize-pods-to-access-different-cloud-services
package rrsa
