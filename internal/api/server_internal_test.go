package api

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"
	"go.yaml.in/yaml/v3"
)

// TestConsoleRoutesAreThoseOfTheSpecification looks inside, because a router
// cannot be asked from outside what it routes.
func TestConsoleRoutesAreThoseOfTheSpecification(t *testing.T) {
	text, err := os.ReadFile("console.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var specification struct {
		Paths map[string]map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &specification); err != nil {
		t.Fatal(err)
	}
	declared, routed := map[string]bool{}, map[string]bool{}
	for path, operations := range specification.Paths {
		for method := range operations {
			declared[strings.ToUpper(method)+" "+path] = true
		}
	}
	s := &Server{echo: echo.New()}
	s.routes()
	for _, r := range s.echo.Routes() {
		if path, found := strings.CutPrefix(r.Path, consoleAPI); found && path != "/*" {
			routed[r.Method+" "+path] = true
		}
	}
	if diff := cmp.Diff(declared, routed); diff != "" {
		t.Errorf("console.yaml and routes.go differ (-declared +routed):\n%s", diff)
	}
}

// TestEveryRouteIsDocumented compares the table of contents with the page that
// people read.
func TestEveryRouteIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{echo: echo.New()}
	s.routes()
	routed := map[string]bool{}
	for _, r := range s.echo.Routes() {
		row := "| `" + r.Method + " " + r.Path + "` |"
		routed[row] = true
		if strings.HasPrefix(r.Path, consoleAPI) || otherMethods[r.Path] != "" {
			continue
		}
		if !strings.Contains(string(page), row) {
			t.Errorf("docs/api.md has no row for %s %s", r.Method, r.Path)
		}
	}
	for line := range strings.Lines(string(page)) {
		if cell, _, _ := strings.Cut(line, "` |"); strings.HasPrefix(cell, "| `") && strings.Contains(cell, " /") && !routed[cell+"` |"] {
			t.Errorf("docs/api.md describes %s, which is not routed", cell[2:])
		}
	}
}
