package executable

import "syscall"

// attributes gives a program a group of its own, to be killed as one. It also ends the program with this process, which may be interrupted
// or killed before it can: exactly, with the thread that starts the program (PR_SET_PDEATHSIG of prctl(2)).
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
