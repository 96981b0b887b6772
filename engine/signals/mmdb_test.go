package signals_test

import (
	"net"
	"os"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// writeDatabase writes an MMDB file of records by network, in place of what was
// there.
func writeDatabase(t testing.TB, path, kind string, records map[string]map[string]any) {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: kind, IncludeReservedNetworks: true, RecordSize: 24, BuildEpoch: 1_780_000_000})
	if err != nil {
		t.Fatal(err)
	}
	for network, record := range records {
		_, prefix, err := net.ParseCIDR(network)
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(prefix, value(t, record)); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Create(path + ".new")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tree.WriteTo(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		t.Fatal(err)
	}
}

func writeText(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func value(t testing.TB, v any) mmdbtype.DataType {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		m := mmdbtype.Map{}
		for name, inner := range v {
			m[mmdbtype.String(name)] = value(t, inner)
		}
		return m
	case string:
		return mmdbtype.String(v)
	case float64:
		return mmdbtype.Float64(v)
	case bool:
		return mmdbtype.Bool(v)
	case uint32:
		return mmdbtype.Uint32(v)
	}
	t.Fatalf("no type for %T", v)
	return nil
}
