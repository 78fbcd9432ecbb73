package cluster

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
)

func TestMissingPrograms(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := missingPrograms()
	if err == nil {
		t.Fatal("nothing is missing in an empty PATH")
	}
	for _, want := range []string{"containerd-shim-runc-v2 (containerd)", "iptables-restore (iptables)", "ip (iproute2)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
}

func TestCheckFree(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_, name, _ := net.SplitHostPort(listener.Addr().String())
	if err := checkFree([]int{port}); err == nil || !strings.Contains(err.Error(), "port "+name) {
		t.Errorf("a port in use: %v", err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := checkFree([]int{port}); err != nil && strings.Contains(err.Error(), "port "+name) {
		t.Errorf("a free port: %v", err)
	}
}

func TestMachineLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	take := func(folder string) (machineLock, string) {
		t.Helper()
		lock, killed, err := lockMachine(path, folder)
		if err != nil {
			t.Fatal(err)
		}
		return lock, killed
	}
	first, killed := take("/a folder")
	if killed != "" {
		t.Errorf("at first, a run in %s was killed", killed)
	}
	if _, _, err := lockMachine(path, "/b"); err == nil || !strings.Contains(err.Error(), "/a folder") {
		t.Errorf("a second run: %v", err)
	}
	if err := first.release(false); err != nil {
		t.Fatal(err)
	}
	second, killed := take("/b")
	if killed != "/a folder" {
		t.Errorf("the folder of the run that was killed is %q", killed)
	}
	if err := second.release(true); err != nil {
		t.Fatal(err)
	}
	if third, killed := take("/c"); killed != "" {
		t.Errorf("after a run that ended, one in %q was killed", killed)
	} else if err := third.release(true); err != nil {
		t.Fatal(err)
	}
}
