// Package wholefile reads and writes files as a whole: never more than a limit, never half.
package wholefile
