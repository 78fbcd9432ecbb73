// Package executable runs the programs that external verifiers and stores are: with a time-out, with bounds on what they print and on how
// many run at once, and without leaving any process behind.
//
// Programs are the operator's, and run with all rights and the whole environment of this process. The bounds are against mistakes, and
// against artifacts that make a program run wild.
package executable
