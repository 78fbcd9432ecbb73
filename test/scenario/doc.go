// Package scenario is the world that the demo and the tests of the whole play in: instances on the emulated cloud, the people who
// sign, what a platform engineer configures, and one image of each kind.
package scenario
