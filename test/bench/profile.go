package main

import (
	"context"
	"errors"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
)

const (
	profiledCold = 1000   // images
	profiledWarm = 100000 // requests
)

// profile writes profiles of cold and of warm verification to a folder. They hold the emulated cloud, too, which runs in the same process.
func (b *bencher) profile(ctx context.Context, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	images, err := b.newRepositories(ctx, b.scaled(profiledCold), 1)
	if err != nil {
		return err
	}
	p, err := newInProcess(ctx, b)
	if err != nil {
		return err
	}
	verify := func(reference string, times int) error {
		ask, err := p.ask(reference)
		for range times {
			if err != nil {
				return err
			}
			err = ask()
		}
		return err
	}
	return errors.Join(
		profiled(folder, "cold", func() error {
			for _, i := range images {
				if err := verify(i.reference(), 1); err != nil {
					return err
				}
			}
			return nil
		}),
		profiled(folder, "warm", func() error { return verify(images[0].reference(), b.scaled(profiledWarm)) }))
}

func profiled(folder, name string, do func() error) (err error) {
	path := filepath.Join(folder, name+".cpu")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	err = do()
	pprof.StopCPUProfile()
	if err != nil {
		return err
	}
	runtime.GC()
	allocs, err := os.Create(filepath.Join(folder, name+".allocs"))
	if err != nil {
		return err
	}
	log.Printf("%s, %s: go tool pprof -top", path, allocs.Name())
	return errors.Join(pprof.Lookup("allocs").WriteTo(allocs, 0), allocs.Close())
}
