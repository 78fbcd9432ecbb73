package tokencache

import (
	"context"
	"os"
	"syscall"
	"time"
)

// lock waits, while the patience of this run lasts, until no other run holds the lock for an entry. The kernel gives it back when a run ends, however
// that happens. Whoever could not get it goes on without: what it is for is fetched twice then.
func (d *Directory) lock(ctx context.Context, name string) (unlock func()) {
	ctx, cancel := context.WithDeadline(ctx, d.patience)
	defer cancel()
	file, err := d.root.OpenFile(lockName(name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return func() {}
	}
	unlock = func() { _ = file.Close() }
	ticker := time.NewTicker(lockPause)
	defer ticker.Stop()
	for syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return unlock
		}
	}
	return unlock
}

// lockName spreads the entries of a kind over 256 locks, by the first two of their digits: a registry whose password takes long hardly keeps
// another one waiting. Who holds the lock of a password may wait for that of a session, and never the other way round.
func lockName(name string) string { return "lock-" + name[:len(name)-nameDigits+2] }
