// Package sts is the Security Token Service as far as RRSA needs it: AssumeRoleWithOIDC.
//
// See https://www.alibabacloud.com/help/en/ram/developer-reference/api-sts-2015-04-01-assumerolewithoidc and, for the error
// codes, https://help.aliyun.com/zh/ram/developer-reference/api-sts-2015-04-01-errorcodes.
package sts
