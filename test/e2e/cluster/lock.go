package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// lockFile is the machine's: its ports, rules and addresses are enough for one cluster, whatever its folder is.
const lockFile = "/run/lock/ratify-e2e"

// machineLock is held while a cluster is there. The file says whose it is: "process folder". A run that ends by itself empties it, so what is
// there when it can be locked is of one that was killed.
type machineLock struct{ file *os.File }

// Busy returns an error if another run has a cluster on this machine.
func Busy() error {
	lock, _, err := openLock(lockFile)
	if err != nil {
		return err
	}
	return lock.file.Close()
}

// lockMachine takes the lock for a folder, and returns the folder of a run that was killed.
func lockMachine(path, folder string) (lock machineLock, killed string, err error) {
	lock, killed, err = openLock(path)
	if err != nil {
		return machineLock{}, "", err
	}
	if err := lock.write(fmt.Sprintf("%d %s\n", os.Getpid(), folder)); err != nil {
		return machineLock{}, "", errors.Join(err, lock.file.Close())
	}
	return lock, killed, nil
}

// openLock takes the lock, and returns the folder that the file names.
func openLock(path string) (lock machineLock, folder string, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return machineLock{}, "", err
	}
	locked := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	note, err := io.ReadAll(io.LimitReader(file, 4096))
	process, folder, _ := strings.Cut(strings.TrimSpace(string(note)), " ")
	if errors.Is(locked, syscall.EWOULDBLOCK) {
		locked = fmt.Errorf("another run (process %s, in %s) has a cluster on this machine, and there can be one: wait for its end, or end it", process, folder)
	}
	if err := errors.Join(locked, err); err != nil {
		return machineLock{}, "", errors.Join(err, file.Close())
	}
	return machineLock{file}, folder, nil
}

func (l machineLock) write(note string) error {
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err := l.file.WriteAt([]byte(note), 0)
	return err
}

// release gives the lock back. The note stays unless all that the cluster made is gone.
func (l machineLock) release(gone bool) error {
	var err error
	if gone {
		err = l.write("")
	}
	return errors.Join(err, l.file.Close())
}
