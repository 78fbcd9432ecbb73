//go:build !linux

package executable

import "syscall"

// attributes gives a program a group of its own, to be killed as one.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
