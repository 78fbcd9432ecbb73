//go:build !linux

package tokencache

import (
	"errors"
	"os"
)

func checkInMemory(*os.File) error {
	return errors.New("cannot be known to be in memory: the cache needs Linux")
}
