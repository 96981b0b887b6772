package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// The parts of tz.js: a map of the world in characters from # to Z, and the
// names of the zones.
var (
	zoneCells = regexp.MustCompile(`\bX="([#-Z]+)"`)
	zoneNames = regexp.MustCompile(`\bT=\[((?:"[A-Za-z0-9_/+-]+",?)+)\]`)
)

// zones takes the map of time zones out of @photostructure/tz-lookup. What it
// means is told in engine/signals.
func zones(w io.Writer, sources []string) error {
	text, err := os.ReadFile(sources[0])
	if err != nil {
		return err
	}
	cells, names := zoneCells.FindSubmatch(text), zoneNames.FindSubmatch(text)
	if cells == nil || names == nil {
		return errors.New("tz.js is not as it was; look at the function it holds")
	}
	_, err = fmt.Fprintf(w, "// Time zones by place, from @photostructure/tz-lookup (CC0).\n%s\n%s\n",
		strings.ReplaceAll(string(names[1]), `"`, ""), cells[1])
	return err
}

// crawlers takes the patterns out of crawler-user-agents.
func crawlers(w io.Writer, sources []string) error {
	text, err := os.ReadFile(sources[0])
	if err != nil {
		return err
	}
	var list []struct{ Pattern string }
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("there are no patterns")
	}
	var b strings.Builder
	b.WriteString("// Patterns of programs' user agents, from crawler-user-agents (MIT).\n")
	for _, entry := range list {
		if entry.Pattern == "" || strings.ContainsAny(entry.Pattern, "\r\n") {
			return fmt.Errorf("pattern %q is not one line", entry.Pattern)
		}
		// JavaScript allows a backslash before a slash, which Go's syntax does too.
		b.WriteString(entry.Pattern + "\n")
	}
	_, err = io.WriteString(w, b.String())
	return err
}
