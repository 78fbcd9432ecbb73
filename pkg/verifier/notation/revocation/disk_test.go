package revocation

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/notaryproject/notation-core-go/revocation/result"

	"github.com/ratify-alibabacloud/ratify-alibabacloud/test/signing"
)

// fileOf returns the only file in a directory.
func fileOf(t testing.TB, directory string) string {
	t.Helper()
	files := must(filepath.Glob(filepath.Join(directory, "*")))(t)
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	return files[0]
}

func TestDisk(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "notation", "crl")
	w := newWorld(t, directory)
	leaf := w.byList(t)
	w.expect(t, leaf, result.ResultOK)
	w.restart(t, directory)
	w.expect(t, leaf, result.ResultOK)
	w.expectAsked(t, 1)

	t.Run("is renewed when it is used again", func(t *testing.T) {
		w.responder.Revoke(leaf.Certificate())
		w.expect(t, leaf, result.ResultOK)
		eventually(t, "the list is renewed", func() bool { number, _ := w.held(); return number == "2" })
		w.expect(t, leaf, result.ResultRevoked)
		w.expectAsked(t, 2)
		eventually(t, "the file is, too", func() bool {
			w.restart(t, directory)
			bundle := w.lists.disk.get(t.Context(), w.responder.CRL())
			return bundle != nil && bundle.BaseCRL.Number.String() == "2"
		})
		w.expect(t, leaf, result.ResultRevoked)
		w.expectAsked(t, 2)
	})

	content := must(os.ReadFile(fileOf(t, directory)))(t)
	stranger := must(json.Marshal(map[string][]byte{"baseCRL": fetched(t, newResponder(t, must(signing.Root("root"))(t)).CRL())}))(t)
	ended := newResponder(t, w.root)
	ended.SetLife(-time.Minute)
	old := must(json.Marshal(map[string][]byte{"baseCRL": fetched(t, ended.CRL())}))(t)
	for name, damaged := range map[string][]byte{
		"empty": {}, "cut off": content[:len(content)/2], "null": []byte("null"), "no list": []byte(`{"baseCRL":"eA=="}`),
		"a stranger's": stranger, "ended": old, "too large": append(bytes.Repeat([]byte(" "), maxFileBytes), content...),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(fileOf(t, directory), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			w.restart(t, directory)
			before := w.responder.Asked()
			w.expect(t, leaf, result.ResultRevoked)
			w.expectAsked(t, before+1)
			if now := must(os.ReadFile(fileOf(t, directory)))(t); len(now) < len(content)/2 || bytes.Equal(now, damaged) {
				t.Errorf("the file is not replaced: %q", now)
			}
		})
	}
}

// Who writes to the directory cannot leave out the delta list, which has the revocations.
func TestDiskWithoutTheDeltaList(t *testing.T) {
	directory := t.TempDir()
	w := newWorld(t, directory)
	leaf := w.byList(t)
	w.responder.SetDelta()
	w.responder.Revoke(leaf.Certificate())
	w.expect(t, leaf, result.ResultRevoked)
	var content map[string][]byte
	if err := json.Unmarshal(must(os.ReadFile(fileOf(t, directory)))(t), &content); err != nil {
		t.Fatal(err)
	}
	delete(content, "deltaCRL")
	if err := os.WriteFile(fileOf(t, directory), must(json.Marshal(content))(t), 0o600); err != nil {
		t.Fatal(err)
	}
	w.restart(t, directory)
	w.expect(t, leaf, result.ResultRevoked)
}

// A list that is too large for the memory would not be renewed if it were taken from the disk.
func TestDiskWithAListTooLargeForMemory(t *testing.T) {
	directory := t.TempDir()
	w := newWorld(t, directory)
	leaf := w.byList(t)
	w.lists.memory.limit = 1
	w.expect(t, leaf, result.ResultOK)
	w.responder.Revoke(leaf.Certificate())
	w.expect(t, leaf, result.ResultRevoked)
}

func TestDiskThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone := filepath.Join(t.TempDir(), "gone")
	for name, directory := range map[string]string{"cannot be made": filepath.Join(file, "crl"), "has gone": gone} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, directory)
			if err := os.RemoveAll(gone); err != nil {
				t.Fatal(err)
			}
			leaf := w.byList(t)
			w.expect(t, leaf, result.ResultOK)
			w.clock.Advance(refreshAfter)
			w.expect(t, leaf, result.ResultOK)
			eventually(t, "the list is renewed", func() bool { return w.responder.Asked() == 2 })
			w.expect(t, leaf, result.ResultOK)
			if n := strings.Count(w.log.String(), "cannot be kept on disk, only in memory"); n != 1 {
				t.Errorf("%d warnings in %s", n, w.log)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	directory := t.TempDir()
	w := newWorld(t, directory)
	write := func(name string, size int64, age time.Duration) {
		path := filepath.Join(directory, name)
		file := must(os.Create(path))(t)
		if err := file.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	name := func(i int) string { return strings.Repeat("0", 60) + hex.EncodeToString([]byte{byte(i >> 8), byte(i)}) }
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(directory, name))
		return err == nil
	}
	write("README", 1, 1000*time.Hour)
	write("notation-1", 1, 2*temporaryAge)
	write("notation-2", 1, temporaryAge/2)
	for i := range maxFiles + 10 {
		write(name(i), 10, time.Duration(i+1)*time.Minute)
	}
	w.expect(t, w.byList(t), result.ResultOK)
	for file, want := range map[string]bool{
		"README": true, "notation-1": false, "notation-2": true, name(0): true, name(maxFiles - 2): true, name(maxFiles - 1): false, name(maxFiles + 9): false,
	} {
		if exists(file) != want {
			t.Errorf("%s exists: %t", file, !want)
		}
	}
	write(name(1), maxFilesBytes, 0)
	w.restart(t, directory)
	if err := w.lists.disk.prune(); err != nil {
		t.Fatal(err)
	}
	var left int
	err := filepath.WalkDir(directory, func(_ string, entry fs.DirEntry, err error) error {
		if isListName(entry.Name()) {
			left++
		}
		return err
	})
	if err != nil || left > 2 || !exists("README") {
		t.Errorf("%d lists left, %v", left, err)
	}
}

// FuzzDisk puts anything into the file of a list: the answer is that of the responder.
func FuzzDisk(f *testing.F) {
	directory := f.TempDir()
	w := newWorld(f, directory)
	leaf := w.byList(f)
	w.responder.Revoke(leaf.Certificate())
	if _, err := w.lists.load(f.Context(), keyOf(w.responder.CRL(), w.root.Certificate()), w.root.Certificate()); err != nil {
		f.Fatal(err)
	}
	path := fileOf(f, directory)
	content := must(os.ReadFile(path))(f)
	for _, seed := range [][]byte{content, content[:99], []byte("null"), []byte(`{"baseCRL":null}`), []byte(`{"baseCRL":"MAA=","deltaCRL":"MAA="}`)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		w.lists.memory = newMemory()
		w.expect(t, leaf, result.ResultRevoked)
	})
}
