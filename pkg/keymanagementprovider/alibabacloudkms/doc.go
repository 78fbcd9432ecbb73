// Package alibabacloudkms is the key management provider alibabacloudkms: certificates in secrets of Alibaba Cloud's Key Management Service, and
// the public halves of its keys.
//
// A Provider is read again and again. What KMS tells for certain, such as that a key was disabled or a secret's version removed, counts from the
// next read on. While KMS cannot be asked, or a secret holds what cannot be used, what was read last stays in use, and the status says since when
// and why.
package alibabacloudkms
