package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// image is an image with its files, by their path without a slash at the start.
type image struct {
	v1.Image
	config *v1.ConfigFile
	files  map[string]file
}

// file is a file or folder of an image.
type file struct {
	*tar.Header
	content []byte
}

// read reads the configuration and all files of an image, of which there are few.
func read(i v1.Image) (*image, error) {
	config, err := i.ConfigFile()
	if err != nil {
		return nil, err
	}
	read := &image{Image: i, config: config, files: map[string]file{}}
	content := mutate.Extract(i)
	defer content.Close()
	for archive := tar.NewReader(content); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return read, nil
		}
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		read.files[strings.Trim(path.Clean("/"+header.Name), "/")] = file{header, text}
	}
}

// write writes the files below a folder, as the user root.
func (i *image) write(folder string) error {
	for _, name := range slices.Sorted(maps.Keys(i.files)) { // a folder before what is in it
		f, to := i.files[name], filepath.Join(folder, filepath.FromSlash(name))
		var err error
		switch f.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(to, 0o755)
		case tar.TypeReg:
			err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, f.content, 0o755))
		default:
			err = fmt.Errorf("it is neither a file nor a folder")
		}
		if err == nil && name != "" {
			err = errors.Join(os.Chown(to, f.Uid, f.Gid), os.Chmod(to, os.FileMode(f.Mode).Perm()))
		}
		if err != nil {
			return fmt.Errorf("write /%s: %w", name, err)
		}
	}
	return nil
}

// String is a file's kind, mode and owner. buildah has the kind in the mode, too.
func (f file) String() string {
	return fmt.Sprintf("%c %04o %d:%d", f.Typeflag, f.Mode&0o7777, f.Uid, f.Gid)
}

// sameFiles says where the lists of two images differ. Sizes do not count: they are of different platforms, or their digests are compared.
func sameFiles(i, reference *image) error {
	var failures []error
	for name, f := range i.files {
		other, ok := reference.files[name]
		switch {
		case !ok:
			failures = append(failures, fmt.Errorf("/%s is not in the prebuilt image", name))
		case f.String() != other.String():
			failures = append(failures, fmt.Errorf("/%s is %s, and %s in the prebuilt image", name, f, other))
		}
	}
	for name := range reference.files {
		if _, ok := i.files[name]; !ok {
			failures = append(failures, fmt.Errorf("/%s is only in the prebuilt image", name))
		}
	}
	return errors.Join(failures...)
}

// samePrograms compares the programs with those that were compiled outside of the image.
func (e expected) samePrograms(i *image, v variant) error {
	var failures []error
	for _, p := range v.programs() {
		outside, err := os.ReadFile(filepath.Join(e.programs, p.outside))
		if err != nil {
			return err
		}
		if inside := i.files[p.path].content; !bytes.Equal(inside, outside) {
			failures = append(failures, fmt.Errorf("/%s has %d bytes, sha256 %x; %s has %d, sha256 %x",
				p.path, len(inside), sha256.Sum256(inside), p.outside, len(outside), sha256.Sum256(outside)))
		}
	}
	return errors.Join(failures...)
}

// sameDigest compares the digests of two images' manifests, and so all there is of them.
func sameDigest(i, reference *image) error {
	one, err := i.Digest()
	if err != nil {
		return err
	}
	other, err := reference.Digest()
	if err != nil {
		return err
	}
	if one != other {
		return fmt.Errorf("they are %s and %s", one, other)
	}
	return nil
}
