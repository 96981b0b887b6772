package lists_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/rules"
)

func TestParseCSV(t *testing.T) {
	newYear := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		typ  rules.ListType
		file string
		want []lists.Item
	}{
		{"values alone", rules.ListOfStrings, "value\nJo\nAl\n", []lists.Item{{Value: "Jo"}, {Value: "Al"}}},
		{"no line break at the end", rules.ListOfStrings, "value\nJo", []lists.Item{{Value: "Jo"}}},
		{"a file of a spreadsheet", rules.ListOfStrings, "\uFEFFValue,Note,Expires\r\nJo,a note,2027-01-01\r\n", []lists.Item{{Value: "Jo", Note: "a note", Expires: newYear}}},
		{"another order", rules.ListOfStrings, "expires,value\n2027-01-01T01:00:00+01:00,Jo\n,Al\n", []lists.Item{{Value: "Jo", Expires: newYear}, {Value: "Al"}}},
		{"quotes", rules.ListOfStrings, "value,note\n\"Jo, \"\"the\"\" one\",\"\"\n", []lists.Item{{Value: `Jo, "the" one`}}},
		{"semicolons", rules.ListOfStrings, "value;note\nJo, Jr.;x\n", []lists.Item{{Value: "Jo, Jr.", Note: "x"}}},
		{"empty lines", rules.ListOfStrings, "value\n\nJo\n\r\n\n", []lists.Item{{Value: "Jo"}}},
		{"spaces of a string stay", rules.ListOfStrings, "value\n Jo \n", []lists.Item{{Value: " Jo "}}},
		{"a value that comes twice", rules.ListOfRanges, "value,note\n192.0.2.1,first\n192.0.2.1/32,second\n", []lists.Item{{Value: "192.0.2.1", Note: "second"}}},
		{"numbers become canonical", rules.ListOfNumbers, "value\n 1.50 \n-3\n", []lists.Item{{Value: "1.5"}, {Value: "-3"}}},
		{"ranges become canonical", rules.ListOfRanges, "value\n192.0.2.0/24\n::ffff:192.0.2.7\n", []lists.Item{{Value: "192.0.2.0/24"}, {Value: "192.0.2.7"}}},
		{"what is written besides", rules.ListOfStrings, "value,author,added\nJo,somebody,whenever\n", []lists.Item{{Value: "Jo"}}},
		{"a formula that was disarmed", rules.ListOfStrings, "value\n'=1+1\n'+64 21 555\n'tis\n''tis\n", []lists.Item{{Value: "=1+1"}, {Value: "+64 21 555"}, {Value: "'tis"}}},
		{"no items", rules.ListOfStrings, "value\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := lists.ParseCSV(iotest.OneByteReader(strings.NewReader(tt.file)), tt.typ, lists.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseCSVNamesBadLines(t *testing.T) {
	long := strings.Repeat("x", lists.MaxLineBytes+1)
	tests := []struct {
		name   string
		typ    rules.ListType
		file   string
		limits lists.Limits
		want   []string // "line column message", the message's beginning
	}{
		{"an empty file", rules.ListOfStrings, "", lists.Limits{}, []string{"0  The file is empty"}},
		{"a file of empty lines", rules.ListOfStrings, "\n\n", lists.Limits{}, []string{"0  The file is empty"}},
		{"no header", rules.ListOfStrings, "Jo\nAl\n", lists.Limits{}, []string{`1  The first line must name the columns; "Jo" is not one`}},
		{"no column of values", rules.ListOfStrings, "note\nx\n", lists.Limits{}, []string{"1  The first line names no column value"}},
		{"a column twice", rules.ListOfStrings, "value,value\n", lists.Limits{}, []string{"1 value The column value is there twice"}},
		{"a column with a slip", rules.ListOfStrings, "value,expire\n", lists.Limits{}, []string{`1  The first line must name the columns; "expire" is not`}},
		{"each bad line", rules.ListOfRanges, "value,note,expires\n192.0.2.1,,\nnowhere,,\n192.0.2.2,\x01,tomorrow\n192.0.2.3,,\n192.0.2.4,\n", lists.Limits{}, []string{
			`3 value The value "nowhere" is neither an address nor a CIDR range.`,
			`4 note The note "\x01" holds a control character`,
			`4 expires The expiry "tomorrow" is neither a date such as`,
			"6  The line has 2 fields; the first line names 3 columns.",
		}},
		{"a quote that is not closed spoils its own line only", rules.ListOfStrings, "value\n\"Jo\nAl\n\"x\"y\nz\"\n", lists.Limits{}, []string{
			"2  A double quote is not closed", "4  Something follows a closing", "5  A double quote stands inside",
		}},
		{"a line that is too long", rules.ListOfStrings, "value\n" + long + "\nJo\n" + long, lists.Limits{}, []string{
			"2  The line has more than 16384 bytes.", "4  The line has more than 16384 bytes.",
		}},
		{"bytes that are no text", rules.ListOfStrings, "value\n\xff\n", lists.Limits{}, []string{`2 value The value "\xff" is not valid UTF-8.`}},
		{"an empty value", rules.ListOfStrings, "value,note\n,x\n", lists.Limits{}, []string{`2 value The value "" is empty.`}},
		{"a note that is too long", rules.ListOfStrings, "value,note\nJo," + strings.Repeat("é", 513) + "\n", lists.Limits{}, []string{`2 note The note "` + strings.Repeat("é", 20) + `…" has 513 characters`}},
		{"more bytes than allowed", rules.ListOfStrings, "value\nJo\nAl\n", lists.Limits{Bytes: 10}, []string{"0  The file has more than 10 bytes."}},
		{"one long line of more bytes than allowed", rules.ListOfStrings, "value\n" + strings.Repeat(long, 3), lists.Limits{Bytes: 20000}, []string{
			"2  The line has more than", "0  The file has more than 20000 bytes.",
		}},
		{"ranges that are none", rules.ListOfRanges, "value\n10.0.0.0/8\n10.0.0.1/8\n", lists.Limits{}, []string{
			`3 value The value "10.0.0.1/8" is an address of a network rather than a network; write 10.0.0.0/8 for the network or 10.0.0.1 for the address.`,
		}},
		{"what has expired", rules.ListOfStrings, "value,expires\nJo,2026-11-22\nAl,2026-11-22T12:00:00Z\nBo,2026-11-22T12:00:01Z\nDi,\n", lists.Limits{Now: noon}, []string{
			`2 expires The expiry "2026-11-22" has passed already`, `3 expires The expiry "2026-11-22T12:00:00Z" has passed already`,
		}},
		{"more items than allowed", rules.ListOfStrings, "value\nJo\nAl\n", lists.Limits{Items: 1}, []string{"0  The file has more than 1 items."}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			items, err := lists.ParseCSV(strings.NewReader(tt.file), tt.typ, tt.limits)
			var bad *lists.CSVError
			if !errors.As(err, &bad) {
				t.Fatalf("error %v, want a *CSVError", err)
			}
			if items != nil {
				t.Errorf("%d items besides the problems", len(items))
			}
			if bad.Count != len(tt.want) || len(bad.Problems) != len(tt.want) {
				t.Fatalf("%d problems %+v, want %q", bad.Count, bad.Problems, tt.want)
			}
			for i, p := range bad.Problems {
				if got := fmt.Sprintf("%d %s %s", p.Line, p.Column, p.Message); !strings.HasPrefix(got, tt.want[i]) {
					t.Errorf("problem %q, want %q", got, tt.want[i])
				}
			}
		})
	}
	t.Run("a hundred problems are described, all are counted", func(t *testing.T) {
		_, err := lists.ParseCSV(strings.NewReader("value\n"+strings.Repeat("x\n", 1000)), rules.ListOfNumbers, lists.Limits{})
		var bad *lists.CSVError
		if !errors.As(err, &bad) || len(bad.Problems) != 100 || bad.Count != 1000 || !strings.Contains(err.Error(), "line 2: The value \"x\" is not a number. (and 999 more problems)") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a reader that fails is no bad file", func(t *testing.T) {
		broken := io.MultiReader(strings.NewReader("value\nJo\n"), iotest.ErrReader(io.ErrClosedPipe))
		items, err := lists.ParseCSV(broken, rules.ListOfStrings, lists.Limits{})
		if !errors.Is(err, io.ErrClosedPipe) || items != nil {
			t.Errorf("%d items, error %v", len(items), err)
		}
	})
}

func TestWriteCSV(t *testing.T) {
	items := []lists.Item{
		{Value: "Jo", Note: "seen", Author: "operator:7", AddedAt: noon, Expires: noon.Add(time.Hour)},
		{Value: `=HYPERLINK("http://example.com";"x")`, Note: "@SUM(1)"},
		{Value: "'quoted", Note: "＝1"},
		{Value: "a,b;c"},
	}
	var out bytes.Buffer
	if err := lists.WriteCSV(&out, rules.ListOfStrings, slices.Values(items)); err != nil {
		t.Fatal(err)
	}
	want := "value,note,expires,author,added\r\n" +
		`"Jo","seen",2026-11-22T13:00:00Z,"operator:7",2026-11-22T12:00:00Z` + "\r\n" +
		`"'=HYPERLINK(""http://example.com"";""x"")","'@SUM(1)",,,` + "\r\n" +
		`"''quoted","'＝1",,,` + "\r\n" +
		`"a,b;c",,,,` + "\r\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	got, err := lists.ParseCSV(&out, rules.ListOfStrings, lists.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range items {
		items[i].Author, items[i].AddedAt = "", time.Time{}
	}
	if diff := cmp.Diff(items, got); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
	t.Run("a negative number is no formula", func(t *testing.T) {
		var out bytes.Buffer
		if err := lists.WriteCSV(&out, rules.ListOfNumbers, slices.Values([]lists.Item{{Value: "-5"}})); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "\r\n-5,") {
			t.Errorf("got %q", out.String())
		}
	})
	t.Run("a writer that fails", func(t *testing.T) {
		reader, writer := io.Pipe()
		reader.Close()
		if err := lists.WriteCSV(writer, rules.ListOfStrings, slices.Values(items)); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("error %v", err)
		}
	})
}

// FuzzParseCSV checks that any file is either refused with its lines named, or
// becomes items that are written and read back as they are, without a field that
// a spreadsheet would take for a formula.
func FuzzParseCSV(f *testing.F) {
	for _, seed := range []string{
		"value,note,expires\nJo,\"a, \"\"b\"\"\",2026-12-31\n", "\uFEFFvalue;note\r\n'=1;x\r\n", "value\n'\n''\n'-\n", "value\n\"", "value\n1e3\n-0\n",
		"value\n192.0.2.0/24\n", "\n\nvalue\n\n", "note\n", "value,expires\nx,0001-01-01\n", "value,expires\nx,9999-12-31T23:59:59-12:00\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, typ := range []rules.ListType{rules.ListOfStrings, rules.ListOfNumbers, rules.ListOfRanges} {
			items, err := lists.ParseCSV(bytes.NewReader(file), typ, lists.Limits{})
			if err != nil {
				var bad *lists.CSVError
				if !errors.As(err, &bad) || bad.Count == 0 || len(bad.Problems) == 0 {
					t.Fatalf("error %v", err)
				}
				if last := bad.Problems[len(bad.Problems)-1].Line; last > bytes.Count(file, []byte("\n"))+1 {
					t.Fatalf("line %d of a file that has fewer", last)
				}
				continue
			}
			var out bytes.Buffer
			if err := lists.WriteCSV(&out, typ, slices.Values(items)); err != nil {
				t.Fatal(err)
			}
			for line := range strings.SplitSeq(out.String(), "\r\n") {
				if typ == rules.ListOfStrings && (strings.HasPrefix(line, `"=`) || strings.HasPrefix(line, `"@`) || strings.HasPrefix(line, "=")) {
					t.Fatalf("a formula: %q", line)
				}
			}
			again, err := lists.ParseCSV(&out, typ, lists.Limits{})
			if diff := cmp.Diff(items, again); diff != "" || err != nil {
				t.Fatalf("%s read again (-want +got), error %v:\n%s", typ, err, diff)
			}
		}
	})
}
