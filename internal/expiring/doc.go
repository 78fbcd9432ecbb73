// Package expiring keeps a value that ends at a known time, such as a session or a token, and renews it ahead of that time.
package expiring
