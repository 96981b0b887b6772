package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// networks turns the CSV files of @ip-location-db/asn into an MMDB database in
// the layout of MaxMind's GeoLite2 ASN, which can be mapped into memory. The
// sources are package.json, whose version holds the day, and the CSV files with
// the columns first address, last address, number, organisation.
func networks(w io.Writer, sources []string) error {
	built, err := packageDay(sources[0])
	if err != nil {
		return err
	}
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		BuildEpoch:              built.Unix(),
		DatabaseType:            "ASN",
		Description:             map[string]string{"en": "Autonomous systems by RouteViews, DB-IP and NRO, CC BY 4.0"},
		DisableIPv4Aliasing:     true, // 2001::/32 and 2002::/16 are announced by somebody
		IncludeReservedNetworks: true,
		RecordSize:              28,
	})
	if err != nil {
		return err
	}
	systems := map[string]mmdbtype.Map{} // one value per organisation, not one per range
	for _, source := range sources[1:] {
		if err := insertNetworks(tree, source, systems); err != nil {
			return fmt.Errorf("%s: %w", source, err)
		}
	}
	buffered := bufio.NewWriterSize(w, 1<<20)
	if _, err := tree.WriteTo(buffered); err != nil {
		return err
	}
	return buffered.Flush()
}

func insertNetworks(tree *mmdbwriter.Tree, source string, systems map[string]mmdbtype.Map) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	rows := csv.NewReader(bufio.NewReaderSize(file, 1<<20))
	rows.FieldsPerRecord = 4
	rows.ReuseRecord = true
	rows.LazyQuotes = true
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		number, err := strconv.ParseUint(row[2], 10, 32)
		first, last := net.ParseIP(row[0]), net.ParseIP(row[1])
		if err != nil || first == nil || last == nil {
			return fmt.Errorf("row %q is none of two addresses and a number", row)
		}
		key := row[2] + " " + row[3]
		system, found := systems[key]
		if !found {
			system = mmdbtype.Map{
				"autonomous_system_number":       mmdbtype.Uint32(number),
				"autonomous_system_organization": mmdbtype.String(strings.Clone(row[3])),
			}
			systems[key] = system
		}
		if err := tree.InsertRange(first, last, system); err != nil {
			return fmt.Errorf("insert %s to %s: %w", first, last, err)
		}
	}
}

// packageDay reads the day from a version such as 2.3.2026061719.
func packageDay(path string) (time.Time, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return time.Time{}, err
	}
	var info struct{ Version string }
	if err := json.Unmarshal(text, &info); err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", path, err)
	}
	day := info.Version[strings.LastIndexByte(info.Version, '.')+1:]
	if len(day) != 10 {
		return time.Time{}, fmt.Errorf("%s: version %q does not end in a day and hour", path, info.Version)
	}
	return time.Parse("2006010215", day)
}
