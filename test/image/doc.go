// Command image checks the images that run.sh built from the Dockerfile: what they say of themselves, each file, and that the programs run. It prints
// a line for each check.
package main
