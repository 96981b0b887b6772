package main_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	sallyport "github.com/sallyport/sallyport/cmd/sallyport"
)

// repository reads a file of the repository.
func repository(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// variables are all names that the configuration and the client commands know.
func variables() []string {
	names := []string{"SALLYPORT_CONFIG", "SALLYPORT_URL"}
	for _, s := range sallyport.Settings() {
		names = append(names, s.Env())
	}
	return names
}

var variable = regexp.MustCompile(`SALLYPORT_[A-Z_]*[A-Z]`)

func TestFilesForPeopleNameOnlySettingsThatExist(t *testing.T) {
	known := variables()
	for _, path := range []string{
		"Dockerfile", "docker-compose.yml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/operate.md", "docs/integrate.md",
		"examples/run.sh", "examples/shop/main.go",
	} {
		for _, name := range variable.FindAllString(repository(t, path), -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s names %s, which is no setting", path, name)
			}
		}
	}
}

func TestTheREADMEListsEverySetting(t *testing.T) {
	text := repository(t, "README.md")
	for _, s := range sallyport.Settings() {
		value := "unset"
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		row := "| `" + s.Env() + "` | " + value + " | " + s.Help + " |"
		if !strings.Contains(text, row) {
			t.Errorf("README.md lacks the row\n%s", row)
		}
	}
}

func TestTheComposeFileUsesTheConfiguration(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Image, Build string
			Environment  map[string]string
			Volumes      []string
			Ports        []string
			Configs      []struct{ Source, Target string }
			DependsOn    map[string]struct{ Condition string } `yaml:"depends_on"`
		}
		Configs map[string]struct{ Content string }
		Volumes map[string]any
	}
	decoder := yaml.NewDecoder(bytes.NewBufferString(repository(t, "docker-compose.yml")))
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sallyport", "nats", "clickhouse"} {
		service, ok := file.Services[name]
		if !ok || (service.Image == "") == (service.Build == "") {
			t.Fatalf("service %s is missing, or has not exactly one of image and build", name)
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if _, ok := file.Volumes[source]; !ok {
				t.Errorf("%s mounts the volume %s, which is not declared", name, source)
			}
		}
		for dependency := range service.DependsOn {
			if _, ok := file.Services[dependency]; !ok {
				t.Errorf("%s depends on %s, which is no service", name, dependency)
			}
		}
		for _, config := range service.Configs {
			if _, ok := file.Configs[config.Source]; !ok {
				t.Errorf("%s uses the configuration %s, which is not declared", name, config.Source)
			}
		}
	}
	if !strings.Contains(file.Configs["nats"].Content, "sync_interval: always") {
		t.Error("NATS does not sync always: a power cut would lose acknowledged messages")
	}

	// The values that the file gives by itself must be values that serve accepts.
	env := map[string]string{}
	for name, value := range file.Services["sallyport"].Environment {
		env[name] = interpolated(value)
	}
	config, err := sallyport.LoadConfig(environment(env), nil)
	if err != nil {
		t.Fatal(err)
	}
	if config.NATS.Mode != sallyport.Remote || config.ClickHouse.Mode != sallyport.Remote {
		t.Errorf("NATS is %s and ClickHouse is %s, want both remote", config.NATS.Mode, config.ClickHouse.Mode)
	}
}

var interpolation = regexp.MustCompile(`\$\{([A-Z_]+)(:-|:\?)([^}]*)\}`)

// interpolated does what compose does: a default, or a value of the person's own.
func interpolated(value string) string {
	return interpolation.ReplaceAllStringFunc(value, func(match string) string {
		parts := interpolation.FindStringSubmatch(match)
		if parts[2] == ":-" {
			return parts[3]
		}
		return "value-of-" + strings.ToLower(parts[1])
	})
}

func TestTheDockerfileBuildsWhatServeNeeds(t *testing.T) {
	text := repository(t, "Dockerfile")
	var stages, users, entries []string
	environmentOf := map[string]string{}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(line, "#") {
			continue
		}
		switch fields[0] {
		case "FROM":
			stages = append(stages, fields[1])
		case "USER":
			users = append(users, fields[1])
		case "ENTRYPOINT":
			entries = append(entries, fields[1])
		case "ENV":
			for _, pair := range fields[1:] {
				name, value, _ := strings.Cut(pair, "=")
				environmentOf[name] = value
			}
		case "COPY":
			if slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "--from=") }) {
				continue
			}
			for _, source := range fields[1 : len(fields)-1] {
				if _, err := os.Stat(filepath.Join("..", "..", source)); err != nil {
					t.Errorf("the Dockerfile copies %s: %v", source, err)
				}
			}
		case "RUN", "WORKDIR", "VOLUME", "EXPOSE", "CMD":
		default:
			t.Errorf("unknown instruction %s", fields[0])
		}
	}
	if len(stages) != 3 || !strings.HasPrefix(stages[2], "debian:") {
		t.Errorf("stages %v: the last one must be Debian, since the engine needs glibc", stages)
	}
	if !slices.Equal(users, []string{"sallyport"}) || !slices.Equal(entries, []string{`["sallyport"]`}) {
		t.Errorf("user %v, entry point %v", users, entries)
	}
	for _, part := range []string{"lib/libchdb.so", "./internal/assets/prepare", "/out/lib /usr/lib/sallyport/lib"} {
		if !strings.Contains(text, part) {
			t.Errorf("%s: files are not put where the binary looks for them", part)
		}
	}
	if _, err := sallyport.LoadConfig(environment(environmentOf), nil); err != nil {
		t.Errorf("the image's environment: %v", err)
	}
}
