package hosts

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
)

// BecomeRoot makes a user who is not root the root of a network and of mounts of this process's own, as far as the kernel lets users make such: it
// starts this program again in them, in the place of this process, and returns only to say why it could not. Root it leaves as it is.
func BecomeRoot() error {
	if os.Geteuid() == 0 {
		return nil
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	alone := []string{"--user", "--map-root-user", "--mount", "--net", "--", "sh", "-c", `ip link set lo up && exec "$0" "$@"`}
	if out, err := exec.Command(unshare, slices.Concat(alone, []string{"true"})...).CombinedOutput(); err != nil {
		return fmt.Errorf("upstream's binary finds the emulated cloud through a hosts file only, and mounting one takes root, or a user namespace: %w %s", err, out)
	}
	return syscall.Exec(unshare, slices.Concat([]string{unshare}, alone, []string{self}, os.Args[1:]), os.Environ())
}
