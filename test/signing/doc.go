// Package signing makes images and Notation signatures for tests and the demo: good ones, and each kind of bad one.
package signing
