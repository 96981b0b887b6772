package architecture_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/sallyport/sallyport"

// Who may import whom. A package may import the standard library, what its row
// lists, and nothing else; a package without a row fails. Names without a dot
// are folders of this module; the others are modules, which stand for all of
// their packages. "..." is everything: the place where the parts are joined, and
// programs that no other package imports.
var imports = map[string][]string{
	"rules":                       {"rules/internal/fold", "rules/internal/index", "cel.dev/cel-go", "go.yaml.in/yaml/v3"},
	"rules/internal/fold":         {},
	"rules/internal/index":        {},
	"rules/bridge":                {"rules", "rules/internal/fold", "cel.dev/cel-go"},
	"events":                      {},
	"events/jetstream":            {"events", "github.com/nats-io/nats.go", "github.com/nats-io/nats-server/v2"},
	"events/clickhouse":           {"events", "github.com/ClickHouse/clickhouse-go/v2"},
	"events/clickhouse/embedded":  {"github.com/ebitengine/purego"},
	"engine":                      {"engine/lists", "rules", "events"},
	"engine/lists":                {"rules", "events"},
	"engine/backtest":             {"engine", "engine/metrics", "rules", "events"},
	"engine/metrics":              {"engine", "rules", "events", "github.com/minio/highwayhash"},
	"engine/metrics/metricsbench": {"engine/metrics", "rules", "events"},
	"engine/memory":               {"engine", "engine/lists", "rules", "events"},
	"engine/signals":              {"engine", "engine/signals/ipdata", "internal/recent", "rules", "events", "github.com/mileusna/useragent", "github.com/nyaruka/phonenumbers"},
	"engine/signals/ipdata":       {"internal/recent", "github.com/oschwald/maxminddb-golang/v2", "golang.org/x/sys"},
	"ceremonies":                  {"events", "github.com/go-webauthn/webauthn", "github.com/golang-jwt/jwt/v5", "github.com/gowebpki/jcs", "github.com/pquerna/otp"},
	"ceremonies/pages":            {"ceremonies", "events"},
	"console":                     {},
	"internal/architecture":       {},
	"internal/mail":               {"ceremonies", "events", "github.com/wneessen/go-mail"},
	"internal/operators":          {"events", "github.com/go-webauthn/webauthn"},
	"internal/ruleset":            {"rules", "engine", "engine/lists", "events"},
	"internal/store":              {"rules", "engine", "ceremonies", "events", "engine/lists", "internal/operators", "internal/ruleset", "github.com/ncruces/go-sqlite3", "github.com/jackc/pgx/v5", "github.com/pressly/goose/v3"},
	"internal/api":                {"rules", "rules/bridge", "engine", "engine/lists", "engine/backtest", "ceremonies", "events", "internal/operators", "internal/ruleset", "github.com/labstack/echo/v4", "github.com/prometheus/client_golang", "golang.org/x/time", "github.com/go-webauthn/webauthn", "github.com/mileusna/useragent"},
	"cmd/sallyport":               {"..."},
	"examples/shop":               {},
	"examples/embedded":           {"engine", "engine/lists", "engine/memory", "engine/metrics", "engine/signals", "rules", "events"},
	"internal/assets/prepare":     {"github.com/maxmind/mmdbwriter"},
	"internal/recent":             {},
	"internal/bench":              {"..."},
	"internal/bench/load":         {},
	"internal/bench/workload":     {"rules"},
	"internal/bench/process":      {},
}

// Packages that only tests import: contract suites and what they need. They may
// import anything, and the binary must not hold them.
var forTests = []string{
	"ceremonies/ceremonytest",
	"engine/recordertest",
	"events/internal/memlog",
	"events/readertest",
	"internal/e2e",
	"internal/store/storetest",
}

// What a program that embeds the engine must not get with it.
var servers = []string{"labstack/echo", "nats-io", "ClickHouse", "go-webauthn", "database/sql", "jackc/pgx", "ncruces", "net/http"}

// Parts that must stay embeddable: none of these may be among everything that
// the package needs, however far away.
var never = map[string][]string{
	"engine":         servers,
	"engine/lists":   servers,
	"engine/memory":  servers,
	"engine/metrics": servers,
	"engine/signals": servers,
	"rules":          servers,
	"events":         servers,
}

type listedPackage struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

// look visits every source file, so that go test does not take a result from its
// cache after one has changed: what go list reads, it does not see.
func look(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if err == nil && strings.HasSuffix(path, ".go") {
			_, err = os.Stat(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// list runs go list from the module's root.
func list(t *testing.T, args ...string) []listedPackage {
	t.Helper()
	look(t)
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Imports,Deps,Module"}, args...)...)
	cmd.Dir = "../.."
	cmd.Env = os.Environ()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	var packages []listedPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestPackagesImportOnlyWhatTheDesignAllows(t *testing.T) {
	owner := map[string]string{} // import path to its module, "" for the standard library
	var ours []listedPackage
	for _, p := range list(t, "-deps", "./...") {
		switch {
		case p.Standard:
			owner[p.ImportPath] = ""
		default:
			owner[p.ImportPath] = p.Module.Path
		}
		if p.Module != nil && p.Module.Path == module {
			ours = append(ours, p)
		}
	}
	if len(ours) < 10 {
		t.Fatalf("go list found only %d packages of this module", len(ours))
	}
	seen := map[string]bool{}
	for _, p := range ours {
		folder := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		seen[folder] = true
		if slices.Contains(forTests, folder) {
			continue
		}
		allowed, listed := imports[folder]
		if !listed {
			t.Errorf("%s has no row in the import rules: say what it may import", folder)
			continue
		}
		if slices.Contains(allowed, "...") {
			continue
		}
		for _, imported := range p.Imports {
			name := owner[imported]
			if name == module {
				name = strings.TrimPrefix(imported, module+"/")
			}
			if name != "" && !slices.Contains(allowed, name) {
				t.Errorf("%s imports %s, which its row does not list", folder, imported)
			}
		}
	}
	for _, folder := range append(slices.Collect(maps.Keys(imports)), forTests...) {
		if !seen[folder] {
			t.Errorf("the import rules name %s, which does not exist", folder)
		}
	}
}

func TestTheBinaryHoldsNothingThatIsOnlyForTests(t *testing.T) {
	for _, p := range list(t, module+"/cmd/sallyport") {
		for _, dep := range p.Deps {
			if slices.Contains(forTests, strings.TrimPrefix(dep, module+"/")) || dep == "testing" {
				t.Errorf("cmd/sallyport depends on %s", dep)
			}
		}
	}
}

func TestTheCoreStaysEmbeddable(t *testing.T) {
	for folder, forbidden := range never {
		for _, p := range list(t, path.Join(module, folder)) {
			for _, dep := range p.Deps {
				for _, word := range forbidden {
					if strings.Contains(dep, word) {
						t.Errorf("%s depends on %s", folder, dep)
					}
				}
			}
		}
	}
}
