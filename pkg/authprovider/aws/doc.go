// Package aws is the auth provider awsEcrBasic: credentials of Amazon Elastic Container Registry for a pod with an IAM role of its service
// account (IRSA). It takes the configuration and the environment of Ratify's provider of that name.
package aws
