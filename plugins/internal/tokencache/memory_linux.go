package tokencache

import (
	"errors"
	"os"
	"syscall"
)

// The magic numbers of file systems in memory, see statfs(2).
const (
	tmpfs = 0x01021994
	ramfs = 0x858458f6
)

func checkInMemory(dir *os.File) error {
	var stat syscall.Statfs_t
	if err := syscall.Fstatfs(int(dir.Fd()), &stat); err != nil {
		return os.NewSyscallError("fstatfs", err)
	}
	if kind := uint32(stat.Type); kind != tmpfs && kind != ramfs { // the type has another width on each platform
		return errors.New("is on a disk: credentials are kept in memory only; name a directory in /dev/shm, or in an emptyDir of medium Memory")
	}
	return nil
}
