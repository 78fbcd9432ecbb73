// Package regularfile reads files that people name, of which nobody knows what they are.
package regularfile
