package notation

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ratify-project/ratify/pkg/homedir"
	"github.com/ratify-project/ratify/pkg/utils"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/parameter"
	"github.com/ratify-alibabacloud/ratify-alibabacloud/internal/pemfile"
)

// maxCertFiles limits the files read for verificationCerts. A directory of roots has a few; one with thousands was named by mistake.
const maxCertFiles = 1000

// readCertPaths returns the certificates in the files and directories of paths and of the default directories, which need not exist.
func readCertPaths(paths []string) ([]*x509.Certificate, error) {
	files := 0
	var certs []*x509.Certificate
	for i, path := range paths {
		field := fmt.Sprintf("verificationCerts[%d]", i)
		if path == "" {
			return nil, parameter.Errorf(field, "is empty")
		}
		found, err := readCertPath(utils.ReplaceHomeShortcut(path), &files)
		if err != nil {
			return nil, parameter.Errorf(field, "%w", err)
		}
		certs = append(certs, found...)
	}
	for _, path := range defaultCertPaths() {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		found, err := readCertPath(path, &files)
		if err != nil {
			return nil, parameter.Errorf("verificationCerts", "default directory: %w", err)
		}
		certs = append(certs, found...)
	}
	return certs, nil
}

// defaultCertPaths are Ratify's directory for trust anchors in the user's home, and the same below RATIFY_CONFIG if that is set.
func defaultCertPaths() []string {
	const below = "ratify-certs/notation/truststore"
	paths := []string{filepath.Join(homedir.Get(), ".ratify", below)}
	if dir := os.Getenv("RATIFY_CONFIG"); dir != "" {
		paths = append(paths, filepath.Join(dir, below))
	}
	return paths
}

// readCertPath returns the certificates of a file, or of all files below a directory in the order of their names, and counts the files. In
// mounted volumes every file is there twice, once as a link; its certificates are then, too.
func readCertPath(path string, files *int) ([]*x509.Certificate, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err // names the whole path
	}
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if entry.Type()&fs.ModeSymlink != 0 {
			if path, err = filepath.EvalSymlinks(path); err != nil {
				return err
			}
			info, err := os.Stat(path)
			if err != nil || info.IsDir() {
				return err // a link to a directory leads to what is walked anyway, or out of the tree
			}
		}
		if *files++; *files > maxCertFiles {
			return fmt.Errorf("more than %d certificate files, at %s", maxCertFiles, path)
		}
		found, err := pemfile.ReadCertificates(path)
		certs = append(certs, found...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return certs, nil
}
