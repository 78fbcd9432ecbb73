// Package pemfile reads certificates and public keys as people paste them: tolerant about the text around and inside the PEM blocks
// (comments, indentation, CRLF, blank lines, repeated blocks), strict about what the blocks hold.
//
// encoding/pem alone passes over a block that it cannot read; a trust anchor that is dropped without a word is found out much later, so
// here every block that begins must end, decode and be of the wanted kind. Errors name the block and the line.
package pemfile
