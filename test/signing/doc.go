// Package signing makes images and Notation signatures for tests and the demo: good ones, and each kind of bad one. It also has what stands behind
// certificates, on loopback: responders that tell which are revoked, and timestamping authorities.
package signing
