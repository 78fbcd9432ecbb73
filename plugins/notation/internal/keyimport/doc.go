// Package keyimport wraps a private key so that KMS can import it, as RSAES_OAEP_SHA_256_AES_256_ECB_PKCS7_PAD.
//
// What is made is Cipher(ESK) || Cipher(TAK): the ephemeral symmetric key under the wrapping key that KMS gave for this import, and the target
// asymmetric key (PKCS #8) under the ephemeral one.
// See https://www.alibabacloud.com/help/en/kms/key-management-service/user-guide/import-key-material-into-an-asymmetric-key.
package keyimport
