// Command emulator runs the emulated cloud until it is interrupted, and prints what a shell needs to use it:
//
//	emulator --instance demo=cri-demo000000000001 --no-referrers old --token-lifetime 10m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/emulator"
)

// tokenRenewal is how often the pod's token file is replaced: as the kubelet does, well within its hour.
const tokenRenewal = 45 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "emulator:", err)
		os.Exit(1)
	}
}

// settings are what the flags say.
type settings struct {
	options   emulator.Options
	instances []emulator.Instance
}

// parse reads the flags. Without --instance and --no-referrers there is one instance, demo.
func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	var withAPI, withoutAPI []string
	flags := flag.NewFlagSet("emulator", flag.ContinueOnError)
	flags.SetOutput(stderr)
	list := func(to *[]string) func(string) error {
		return func(value string) error { *to = append(*to, value); return nil }
	}
	verbose := flags.Bool("verbose", false, "log TLS and HTTP errors to standard error")
	flags.StringVar(&s.options.Region, "region", "cn-hangzhou", "`region` of the instances")
	flags.DurationVar(&s.options.SessionLifetime, "session-lifetime", 0, "lifetime of STS sessions (default as requested, 1h)")
	flags.DurationVar(&s.options.TokenLifetime, "token-lifetime", time.Hour, "lifetime of temporary registry passwords")
	flags.DurationVar(&s.options.BearerLifetime, "bearer-lifetime", 5*time.Minute, "lifetime of the registries' Bearer tokens")
	flags.Func("instance", "`name[=id]` of an instance; repeatable (default demo)", list(&withAPI))
	flags.Func("no-referrers", "`name[=id]` of an instance whose registry has no referrers API; repeatable", list(&withoutAPI))
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q: see --help", flags.Arg(0))
	}
	if *verbose {
		s.options.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if len(withAPI)+len(withoutAPI) == 0 {
		withAPI = []string{"demo"}
	}
	for _, text := range slices.Concat(withAPI, withoutAPI) {
		name, id, _ := strings.Cut(text, "=")
		i := slices.IndexFunc(s.instances, func(i emulator.Instance) bool { return i.Name == name })
		if i < 0 {
			s.instances = append(s.instances, emulator.Instance{Name: name, ID: emulator.DefaultID(name), Region: s.options.Region})
			i = len(s.instances) - 1
		}
		// A name may be given by both flags: its id by one and its lack of the API by the other.
		if id != "" {
			s.instances[i].ID = id
		}
		s.instances[i].NoReferrersAPI = s.instances[i].NoReferrersAPI || slices.Contains(withoutAPI, text)
	}
	return s, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	s, err := parse(args, stderr)
	if err != nil {
		return err
	}
	cloud, err := emulator.Start(s.options)
	if err != nil {
		return err
	}
	defer func() {
		if closing := cloud.Close(); err == nil {
			err = closing
		}
	}()
	for _, i := range s.instances {
		if err := cloud.AddInstance(i); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "emulator-kms-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	access, err := addKMS(cloud, dir)
	if err != nil {
		return err
	}
	explain(stdout, cloud, s, access)
	renew := time.NewTicker(tokenRenewal)
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-renew.C:
			cloud.WriteTokenFile(emulator.TokenOptions{})
		}
	}
}

// explain writes lines for a shell: what a pod and the Notation plugin have in their environment, and in comments how to push.
func explain(w io.Writer, cloud *emulator.Cloud, s settings, access keyAccess) {
	fmt.Fprintln(w, "# Alibaba Cloud on loopback, until this command ends. A program with this environment is a pod in it:")
	for _, entry := range cloud.PodEnv() {
		name, value, _ := strings.Cut(entry, "=")
		fmt.Fprintf(w, "export %s=%s\n", name, quote(value))
	}
	access.explain(w, s.options.Region)
	for _, i := range s.instances {
		user, password := cloud.OwnerPassword(i.ID)
		fmt.Fprintf(w, "\n# Instance %s, %s. To push and sign as its owner (docker, notation and others log in alike):\n", i.Name, i.ID)
		fmt.Fprintf(w, "#   oras login %s -u %s -p %s\n", i.Hosts()[0], quote(user), quote(password))
	}
}

// quote returns s as one word of a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
