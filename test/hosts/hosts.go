package hosts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

// Usable returns why programs cannot be run with a hosts file of their own, nil if they can.
func Usable(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "unshare", "--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts").CombinedOutput()
	if err != nil {
		return fmt.Errorf("upstream's binary finds the emulated cloud through a hosts file only, and mounting one takes root: %w %s", err, out)
	}
	return nil
}

// maxAddresses bounds the addresses that are tried: enough for some processes at a time.
const maxAddresses = 200

// Hosts are hosts of a cloud, each at port 443 of an address of its own.
type Hosts struct {
	cloud     *emulator.Cloud
	file      string
	listeners []net.Listener
	forwards  sync.WaitGroup
}

// Forward makes hosts of a cloud reachable, and writes the hosts file to a path.
func Forward(cloud *emulator.Cloud, file string, names ...string) (*Hosts, error) {
	h := &Hosts{cloud: cloud, file: file}
	if err := h.listen(len(names)); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	text := "127.0.0.1 localhost\n"
	for i, name := range names {
		h.forwards.Go(func() { h.accept(h.listeners[i], cloud.Addr(name)) })
		text += h.listeners[i].Addr().(*net.TCPAddr).IP.String() + " " + name + "\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil { // programs of other users read it, too
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// listen listens at port 443 of n addresses that no other process forwards.
func (h *Hosts) listen(n int) error {
	for i := 1; len(h.listeners) < n; i++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.44.%d:443", i))
		if errors.Is(err, syscall.EADDRINUSE) && i < maxAddresses {
			continue
		} else if err != nil {
			return err
		}
		h.listeners = append(h.listeners, listener)
	}
	return nil
}

// Close ends the forwarding, and waits until the connections have ended. Programs must have ended before.
func (h *Hosts) Close() error {
	var errs []error
	for _, listener := range h.listeners {
		errs = append(errs, listener.Close())
	}
	h.forwards.Wait()
	return errors.Join(errs...)
}

// Command returns a command that runs a program as a pod in the cloud that has no proxy.
func (h *Hosts) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "sh", "-c",
		`mount --bind "$HOSTS" /etc/hosts && exec "$0" "$@"`, program}, args...)...)
	cmd.Env = []string{"HOSTS=" + h.file, "PATH=" + os.Getenv("PATH")}
	for _, variable := range h.cloud.PodEnv() {
		if !strings.HasPrefix(variable, "HTTPS_PROXY=") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	return cmd
}

// accept carries the connections of a listener to an address.
func (h *Hosts) accept(listener net.Listener, to string) {
	for {
		in, err := listener.Accept()
		if err != nil {
			return
		}
		h.forwards.Go(func() { carry(in, to) })
	}
}

func carry(in net.Conn, to string) {
	defer in.Close()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(out, in); _ = out.(*net.TCPConn).CloseWrite() })
	both.Go(func() { _, _ = io.Copy(in, out); _ = in.(*net.TCPConn).CloseWrite() })
	both.Wait()
}
