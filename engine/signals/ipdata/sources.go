package ipdata

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// source is a file as it is on disk now.
type source struct {
	path string
	info fs.FileInfo // of what a link points to
}

func (s source) same(o source) bool {
	return s.path == o.path && os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}

// survey finds the files of files and folders, in their order; those of a folder
// by name. missing are paths where there is nothing.
func survey(paths []string) (found []source, missing []string, err error) {
	for _, path := range paths {
		path = filepath.Clean(path)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, path)
		case err != nil:
			return nil, nil, fmt.Errorf("look for IP data: %w", err)
		case !info.IsDir():
			found = append(found, source{path, info})
		default:
			inside, err := surveyFolder(path)
			if err != nil {
				return nil, nil, err
			}
			found = append(found, inside...)
		}
	}
	return once(found), missing, nil
}

// once drops files that are named twice, such as in a folder and by themselves.
func once(found []source) []source {
	seen := map[string]bool{}
	return slices.DeleteFunc(found, func(s source) bool {
		before := seen[s.path]
		seen[s.path] = true
		return before
	})
}

func surveyFolder(folder string) ([]source, error) {
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return nil, fmt.Errorf("look for IP data: %w", err)
	}
	var found []source
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		if strings.HasPrefix(entry.Name(), ".") || !isDatabase(path) && !isRanges(path) {
			continue
		}
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a link to nothing, or gone since
		}
		if err != nil {
			return nil, fmt.Errorf("look for IP data: %w", err)
		}
		if info.Mode().IsRegular() {
			found = append(found, source{path, info})
		}
	}
	return found, nil
}

func isDatabase(path string) bool { return strings.EqualFold(filepath.Ext(path), ".mmdb") }

func isRanges(path string) bool { return strings.EqualFold(filepath.Ext(path), ".csv") }

// sameSources tells whether nothing has changed.
func sameSources(a, b []source) bool {
	return slices.EqualFunc(a, b, source.same)
}

// file is a source that was read: a database or ranges.
type file struct {
	source
	database *database // nil for ranges
	ranges   *Ranges
}

func openFile(s source) (*file, error) {
	if !isRanges(s.path) { // whatever its name, a file that was named is a database
		database, err := openDatabase(s.path)
		if err != nil {
			return nil, fmt.Errorf("read IP database %s: %w", s.path, err)
		}
		return &file{source: s, database: database}, nil
	}
	opened, err := os.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("read IP ranges: %w", err)
	}
	defer opened.Close()
	ranges, err := ParseRanges(opened)
	if err != nil {
		return nil, fmt.Errorf("read IP ranges %s: %w", s.path, err)
	}
	return &file{source: s, ranges: ranges}, nil
}

func (f *file) close() error {
	if f.database == nil {
		return nil
	}
	return f.database.close()
}
