// Package aws is what of Amazon Web Services a pod with an IAM role meets when it pulls from ECR: STS, ECR's API and a registry, under their
// production names behind a CONNECT proxy. Web identity tokens, sessions and passwords are checked; signatures of requests are looked at
// for their access key, region and service only.
package aws
