package main

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// runTime bounds a program's run. Under emulation it takes seconds.
const runTime = 2 * time.Minute

// program is a program in an image, and where it is among those that were compiled outside.
type program struct{ path, outside string }

func (v variant) programs() []program {
	list := []program{{"app/ratify", v.ratify}}
	for _, p := range v.plugins {
		list = append(list, program{".ratify/plugins/" + p, "plugins/" + p})
	}
	return list
}

var machines = map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}

// emulators are qemu's, for each platform that may not be this machine's.
var emulators = map[string]string{"linux/amd64": "qemu-x86_64-static", "linux/arm64": "qemu-aarch64-static"}

// checkPrograms checks each program's file, and runs the first.
func (e expected) checkPrograms(ctx context.Context, i *image, v variant, platform string, check func(string, error)) {
	for _, p := range v.programs() {
		f, ok := i.files[p.path]
		if !ok {
			check("/"+p.path, errors.New("there is no such file"))
			continue
		}
		check("/"+p.path+" is root's, and can be run by all and written by none else", equal(fmt.Sprintf("%c 0755 0:0", tar.TypeReg), f.String()))
		check("/"+p.path+" is a static program for the platform", static(f.content, platform))
		check("/"+p.path+" tells its modules, and no path of the builder", traceable(f.content, platform))
	}
	check("there are no other programs", e.others(i, v))
	printed, err := run(ctx, i, platform, "/app/ratify", "version")
	if err == nil {
		want := fmt.Sprintf("Version:    %s%s\nGit commit: %s\nGo version: %s", e.version, v.suffix, e.commit, runtime.Version())
		err = equal(want, strings.TrimSpace(printed))
	}
	check("ratify runs as nonroot, and prints its version and commit", err)
}

// others names what is in the folders of programs and should not be.
func (e expected) others(i *image, v variant) error {
	known := map[string]bool{"app": true}
	if v.plugins != nil {
		known[".ratify"], known[".ratify/plugins"] = true, true
	}
	for _, p := range v.programs() {
		known[p.path] = true
	}
	var failures []error
	for name := range i.files {
		if top, _, _ := strings.Cut(name, "/"); (top == "app" || top == ".ratify") && !known[name] {
			failures = append(failures, fmt.Errorf("/%s is one", name))
		}
	}
	return errors.Join(failures...)
}

// static checks that a program is for the platform and needs no loader and no library, of which the base has none.
func static(content []byte, platform string) error {
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return err
	}
	defer f.Close()
	if f.Machine != machines[platform] {
		return fmt.Errorf("it is for %s", f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return fmt.Errorf("it is linked dynamically: it has %s", p.Type)
		}
	}
	return nil
}

// traceable checks what the compiler wrote into a program: all of its modules with their checksums, and that paths were trimmed.
func traceable(content []byte, platform string) error {
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return err
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if got := settings["GOOS"] + "/" + settings["GOARCH"]; got != platform {
		return fmt.Errorf("it was compiled for %s", got)
	}
	if settings["-trimpath"] != "true" || settings["CGO_ENABLED"] != "0" {
		return fmt.Errorf("it was compiled with -trimpath=%s and CGO_ENABLED=%s", settings["-trimpath"], settings["CGO_ENABLED"])
	}
	if len(info.Deps) == 0 {
		return errors.New("it names no module")
	}
	for _, m := range info.Deps {
		if m.Replace == nil && m.Sum == "" || m.Replace != nil && m.Replace.Sum == "" {
			return fmt.Errorf("it has no checksum of %s", m.Path)
		}
	}
	return nil
}

// run runs a program of an image in the image's files, as its user, and under an emulator if the platform is not this machine's.
func run(ctx context.Context, i *image, platform string, command ...string) (printed string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, runTime, fmt.Errorf("it did not end within %s", runTime))
	defer cancel()
	root, err := os.MkdirTemp("", "ratify-image-root-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	if err := errors.Join(os.Chmod(root, 0o755), i.write(root)); err != nil {
		return "", err
	}
	if platform != "linux/"+runtime.GOARCH {
		if err := copyEmulator(platform, root); err != nil {
			return "", err
		}
		command = append([]string{"/emulator"}, command...)
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stderr = "/", i.config.Config.Env, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: user, Gid: user}}
	stdout, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(stdout), nil
}

func copyEmulator(platform, root string) error {
	path, err := exec.LookPath(emulators[platform])
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "emulator"), content, 0o755)
}
