package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The built programs, and the root of the repository. TestMain sets them once.
var root, sallyport, shop string

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runTests builds the programs into a folder laid out like bin/ and runs the
// tests.
func runTests(m *testing.M) (code int, err error) {
	if root, err = moduleRoot(); err != nil {
		return 1, err
	}
	bin, err := os.MkdirTemp("", "sp-bin-")
	if err != nil {
		return 1, fmt.Errorf("make a folder for the programs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	lib := filepath.Join(root, "bin", "lib")
	for _, name := range []string{"libchdb.so", "ip-asn.mmdb"} {
		if _, err := os.Stat(filepath.Join(lib, name)); err != nil {
			return 1, fmt.Errorf("%w (make build puts it there)", err)
		}
	}
	if err := os.Symlink(lib, filepath.Join(bin, "lib")); err != nil {
		return 1, err
	}
	sallyport, shop = filepath.Join(bin, "sallyport"), filepath.Join(bin, "shop")
	for program, source := range map[string]string{sallyport: "./cmd/sallyport", shop: "./examples/shop"} {
		build := exec.Command("go", "build", "-o", program, source)
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build %s: %w\n%s", source, err, out)
		}
	}
	return m.Run(), nil
}

// moduleRoot is the nearest folder upwards that holds go.mod.
func moduleRoot() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder, nil
		}
		parent := filepath.Dir(folder)
		if parent == folder {
			return "", errors.New("no go.mod in any folder above")
		}
		folder = parent
	}
}
