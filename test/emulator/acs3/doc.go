// Package acs3 computes and checks request signatures of Alibaba Cloud's scheme ACS3-HMAC-SHA256, from the server's side.
//
// See https://www.alibabacloud.com/help/en/sdk/product-overview/v3-request-structure-and-signature.
package acs3
