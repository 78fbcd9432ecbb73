// Package golden compares what people see with files.
package golden
