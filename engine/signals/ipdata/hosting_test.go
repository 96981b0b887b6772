package ipdata_test

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/oschwald/maxminddb-golang/v2"
)

// The table that ships was made by hand. Each of its systems must be run by whom
// it says, as the database that ships has it.
func TestHostingProvidersAreWhoTheyAreSaidToBe(t *testing.T) {
	reader, err := maxminddb.Open("../../../bin/lib/ip-asn.mmdb")
	if err != nil {
		t.Fatalf("the data are not there (%v): run make build", err)
	}
	defer reader.Close()
	names := map[uint32]string{}
	for result := range reader.Networks() {
		var system struct {
			Number       uint32 `maxminddb:"autonomous_system_number"`
			Organization string `maxminddb:"autonomous_system_organization"`
		}
		if err := result.Decode(&system); err != nil {
			t.Fatal(err)
		}
		names[system.Number] = strings.ReplaceAll(system.Organization, `"`, "")
	}
	file, err := os.Open("../../../internal/assets/ip-hosting.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	count := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.SplitN(lines.Text(), ",", 3)
		if strings.HasPrefix(fields[0], "#") {
			continue
		}
		number, err := strconv.ParseUint(strings.TrimPrefix(fields[0], "AS"), 10, 32)
		if err != nil || len(fields) != 3 || fields[1] != "hosting" {
			t.Errorf("line %q", lines.Text())
			continue
		}
		count++
		if got := names[uint32(number)]; got != fields[2] {
			t.Errorf("AS%d is run by %q, not %q", number, got, fields[2])
		}
	}
	if count < 100 {
		t.Errorf("only %d systems", count)
	}
}
