// Package protocol is the plugin's side of the two protocols by which Ratify v1.4 runs external stores and verifiers.
//
// Ratify runs the program once for each call. The command, the protocol's version and the subject are in environment variables, the
// configuration is a JSON object on the standard input. The program prints one reply and ends with 0, or prints an error as a JSON object of
// code, msg and details and ends with 1.
//
// Ratify v1.4 takes what is printed apart line by line, standard error first: a line with a brace that begins like JSON counts for the
// reply, one of more than 64 KiB and all behind it is lost, and all else is log. So this package lets no brace into the log, and prints an error
// instead of a reply that Ratify would lose.
package protocol
