// Package inline is the key management provider whose certificates or public keys stand in its own configuration.
//
// It takes the parameters of Ratify's provider of the same name, contentType ("certificate" or "key") and value (PEM), and reads them with
// care: every block counts, several keys in one value as well; what cannot be used is an error that names the block and the line; what can
// be used but may surprise, such as a certificate that has expired, is loaded and named in the status.
package inline
