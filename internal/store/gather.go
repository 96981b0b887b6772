package store

import "github.com/ncruces/go-sqlite3/vfs"

// gatheringVFS is the file system of the SQLite writer. SQLite writes each frame
// of its write-ahead log with two calls; a group of writes has dozens of frames.
// This hands them to the operating system in one call, right before the sync
// that makes them count.
const gatheringVFS = "sallyport"

// gatherBytes bounds what is held back.
const gatherBytes = 1 << 20

// registerVFS makes gatheringVFS known to SQLite. Doing so again changes nothing.
func registerVFS() {
	vfs.Register(gatheringVFS, gathering{vfs.Find("").(vfs.VFSFilename)})
}

type gathering struct{ vfs.VFSFilename }

// OpenFilename wraps the write-ahead log and nothing else.
func (g gathering) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := g.VFSFilename.OpenFilename(name, flags)
	if err != nil || flags&vfs.OPEN_WAL == 0 {
		return f, flags, err
	}
	return &walFile{File: f}, flags, nil
}

// walFile holds back writes that follow one another. With synchronous=FULL, no
// other connection looks at a frame before it was synced, and whatever this
// connection asks of the file sees its writes done.
type walFile struct {
	vfs.File
	at   int64 // where held begins
	held []byte
}

// WriteAt takes bytes that follow those held, or hands those over first.
func (f *walFile) WriteAt(p []byte, at int64) (int, error) {
	if len(f.held) > 0 && (at != f.at+int64(len(f.held)) || len(f.held) >= gatherBytes) {
		if err := f.flush(); err != nil {
			return 0, err
		}
	}
	if len(f.held) == 0 {
		f.at = at
	}
	f.held = append(f.held, p...)
	return len(p), nil
}

// flush hands over what is held. What could not be written is forgotten, as its
// transaction fails.
func (f *walFile) flush() error {
	if len(f.held) == 0 {
		return nil
	}
	_, err := f.File.WriteAt(f.held, f.at)
	f.held = f.held[:0]
	return err
}

// ReadAt implements vfs.File; so do the others.
func (f *walFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, at)
}

func (f *walFile) Truncate(size int64) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f *walFile) Sync(flags vfs.SyncFlag) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Sync(flags)
}

func (f *walFile) Size() (int64, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.Size()
}

func (f *walFile) Close() error {
	err := f.flush()
	if closeErr := f.File.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Unwrap implements vfs.FileUnwrap.
func (f *walFile) Unwrap() vfs.File { return f.File }
