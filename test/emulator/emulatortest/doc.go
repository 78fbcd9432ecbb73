// Package emulatortest starts emulated clouds for tests.
package emulatortest
