package lists

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/rules"
)

// Limits bound a file of items. A zero field means its default.
type Limits struct {
	Bytes int64 // of the file; DefaultBytes
	Items int   // DefaultItems
	// Now is when the file is read: items that have expired by then are refused,
	// since nobody means to add them. Zero refuses none.
	Now time.Time
}

// Defaults and limits of CSV files.
const (
	DefaultBytes = 256 << 20
	DefaultItems = 1_000_000
	// MaxLineBytes is how long a line may be: a value and a note of the largest
	// size, all of it quotes, fit.
	MaxLineBytes = 16 << 10
	// MaxProblems is how many problems are described; the others are counted.
	MaxProblems = 100
)

// The columns of a file. Only value is required.
const (
	columnValue   = "value"
	columnNote    = "note"
	columnExpires = "expires"
	columnAuthor  = "author" // written, not read: the author is who imports
	columnAdded   = "added"  // written, not read
)

// Problem is what is wrong with one line of a file.
type Problem struct {
	Line    int    `json:"line"`             // counts from 1; 0 for the file as a whole
	Column  string `json:"column,omitempty"` // its name, "" for the line as a whole
	Message string `json:"message"`          // a sentence, with the beginning of the value
}

// CSVError is every line of a file that cannot be used. Nothing of such a file is
// imported.
type CSVError struct {
	Problems []Problem // the first MaxProblems, in the order of the lines
	Count    int       // of all problems
}

// Error describes the first problem and counts the others.
func (e *CSVError) Error() string {
	if len(e.Problems) == 0 {
		return "the file cannot be used"
	}
	first := e.Problems[0]
	text := first.Message
	if first.Line > 0 {
		text = fmt.Sprintf("line %d: %s", first.Line, first.Message)
	}
	if e.Count > 1 {
		text += fmt.Sprintf(" (and %d more problems)", e.Count-1)
	}
	return text
}

// ParseCSV reads items from a file in the format of RFC 4180: UTF-8, with or
// without a byte order mark, lines that end in LF or CRLF, fields in double quotes
// where they hold a comma or a quote. The first line names the columns, in any
// order: value, and if wanted note and expires, a date (2026-12-31, its beginning
// in UTC) or a time with its zone (2026-12-31T18:00:00Z); empty means never.
// Columns author and added, which WriteCSV writes, are not read. A file whose
// first line has semicolons and no commas is separated by semicolons, as
// spreadsheets of some countries write it. Empty lines are skipped.
//
// One apostrophe before a sign that would begin a formula is taken away, since
// WriteCSV puts it there. Values become canonical. If a value comes twice the
// later line counts. The result is all items or a *CSVError; another error is the
// reader's. The memory it takes is that of the items.
func ParseCSV(r io.Reader, typ rules.ListType, limits Limits) ([]Item, error) {
	p := parser{typ: typ, limits: limits, seen: newTable(0), hash: newHasher()}
	if p.limits.Bytes <= 0 {
		p.limits.Bytes = DefaultBytes
	}
	if p.limits.Items <= 0 {
		p.limits.Items = DefaultItems
	}
	if err := p.read(r); err != nil {
		return nil, fmt.Errorf("read list: %w", err)
	}
	if p.count > 0 {
		return nil, &CSVError{Problems: p.problems, Count: p.count}
	}
	return p.items, nil
}

// parser reads one file line by line.
type parser struct {
	typ    rules.ListType
	limits Limits

	comma   byte
	columns []string // what each field of a line is
	items   []Item
	seen    table // value to its place in items
	hash    hasher

	line     int
	fields   []string // of the line, kept to be used again
	problems []Problem
	count    int
}

func (p *parser) report(column, format string, args ...any) {
	p.count++
	p.items = nil // nothing will be imported
	if len(p.problems) < MaxProblems {
		p.problems = append(p.problems, Problem{Line: p.line, Column: column, Message: fmt.Sprintf(format, args...)})
	}
}

// read visits every line. It stops early only at a limit of the whole file.
func (p *parser) read(r io.Reader) error {
	in := bufio.NewReaderSize(r, MaxLineBytes)
	var total int64
	for {
		text, err := in.ReadSlice('\n')
		total += int64(len(text))
		if total > p.limits.Bytes {
			p.line = 0
			p.report("", "The file has more than %d bytes.", p.limits.Bytes)
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if len(text) > 0 {
			p.line++
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			p.report("", "The line has more than %d bytes.", MaxLineBytes)
			n, skipping := skipLine(in, p.limits.Bytes-total)
			if total += n; skipping != nil {
				err = skipping
			}
		case len(text) > 0:
			if p.accept(string(text)) {
				return nil
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	if p.columns == nil && p.count == 0 {
		p.line = 0
		p.report("", `The file is empty; its first line must name the columns, such as "value,note,expires".`)
	}
	return nil
}

// skipLine drops the rest of a line that is too long, up to limit bytes.
func skipLine(in *bufio.Reader, limit int64) (skipped int64, err error) {
	for skipped <= limit {
		text, err := in.ReadSlice('\n')
		skipped += int64(len(text))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return skipped, err
		}
	}
	return skipped, nil
}

// accept reads one line and reports whether the file is not worth reading on.
func (p *parser) accept(text string) (end bool) {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	if p.line == 1 {
		text = strings.TrimPrefix(text, "\uFEFF")
	}
	if text == "" {
		return false
	}
	if p.columns == nil {
		return p.header(text)
	}
	p.item(text)
	if len(p.items) > p.limits.Items {
		p.line = 0
		p.report("", "The file has more than %d items.", p.limits.Items)
		return true
	}
	return false
}

// header reads the names of the columns.
func (p *parser) header(text string) (end bool) {
	p.comma = ','
	if !strings.Contains(text, ",") && strings.Contains(text, ";") {
		p.comma = ';'
	}
	if !p.split(text) {
		return true
	}
	for _, field := range p.fields {
		name := strings.ToLower(strings.TrimSpace(field))
		switch {
		case !slices.Contains([]string{columnValue, columnNote, columnExpires, columnAuthor, columnAdded}, name):
			p.report("", "The first line must name the columns; %s is not one of value, note and expires.", quoted(field))
		case slices.Contains(p.columns, name):
			p.report(name, "The column %s is there twice.", name)
		}
		p.columns = append(p.columns, name)
	}
	if p.count == 0 && !slices.Contains(p.columns, columnValue) {
		p.report("", "The first line names no column value.")
	}
	return p.count > 0
}

// item reads one line of values.
func (p *parser) item(text string) {
	if !p.split(text) {
		return
	}
	if len(p.fields) != len(p.columns) {
		p.report("", "The line has %d fields; the first line names %d columns.", len(p.fields), len(p.columns))
		return
	}
	var item Item
	good := true
	for i, column := range p.columns {
		field := p.fields[i]
		var err error
		switch column {
		case columnValue:
			item.Value, err = p.value(field)
		case columnNote:
			item.Note = unescape(field)
			err = checkNote(item.Note)
		case columnExpires:
			item.Expires, err = p.expiry(field)
		}
		if err != nil {
			good = false
			p.report(column, "The %s %s %v.", columnTitles[column], quoted(field), err)
		}
	}
	if !good || p.count > 0 {
		return
	}
	k := p.hash.text(item.Value)
	if at, again := p.seen.get(k); again {
		p.items[at] = item
		return
	}
	p.seen.put(k, int64(len(p.items)))
	p.items = append(p.items, item)
}

// columnTitles are what messages call the columns that are read.
var columnTitles = map[string]string{columnValue: "value", columnNote: "note", columnExpires: "expiry"}

func (p *parser) value(field string) (string, error) {
	if p.typ != rules.ListOfStrings {
		field = strings.TrimSpace(field) // space means nothing to numbers and addresses
	}
	return Canonical(p.typ, unescape(field))
}

// split cuts a line into fields, and reports a line that has none because of its
// quotes.
func (p *parser) split(text string) bool {
	p.fields = p.fields[:0]
	for {
		if !strings.HasPrefix(text, `"`) {
			end := strings.IndexByte(text, p.comma)
			field := text
			if end >= 0 {
				field = text[:end]
			}
			if strings.Contains(field, `"`) {
				p.report("", "A double quote stands inside a field that does not begin with one.")
				return false
			}
			p.fields = append(p.fields, field)
			if end < 0 {
				return true
			}
			text = text[end+1:]
			continue
		}
		field, rest, closed := cutQuoted(text[1:])
		if !closed {
			p.report("", "A double quote is not closed on the line.")
			return false
		}
		p.fields = append(p.fields, field)
		switch {
		case rest == "":
			return true
		case rest[0] != p.comma:
			p.report("", "Something follows a closing double quote.")
			return false
		}
		text = rest[1:]
	}
}

// cutQuoted reads a field after its opening quote; a doubled quote stands for
// one.
func cutQuoted(text string) (field, rest string, closed bool) {
	var b strings.Builder
	for {
		end := strings.IndexByte(text, '"')
		if end < 0 {
			return "", "", false
		}
		b.WriteString(text[:end])
		text = text[end+1:]
		if !strings.HasPrefix(text, `"`) {
			return b.String(), text, true
		}
		b.WriteByte('"')
		text = text[1:]
	}
}

func (p *parser) expiry(field string) (time.Time, error) {
	at, err := parseExpiry(field)
	if err == nil && Expired(at, p.limits.Now) {
		err = ErrExpired
	}
	return at, err
}

// ErrExpired says of an expiry why it cannot be added.
var ErrExpired = errors.New("has passed already; leave the item out, or the expiry for one that stays")

// Expired reports whether an item with that expiry is over at a time. A zero
// expiry is never over, and nothing is over at the zero time.
func Expired(expires, now time.Time) bool {
	return !expires.IsZero() && !now.IsZero() && !expires.After(now)
}

func parseExpiry(field string) (time.Time, error) {
	field = strings.TrimSpace(field)
	if field == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if at, err := time.Parse(layout, field); err == nil && at.UTC().Year() >= 1 && at.UTC().Year() <= 9999 && !at.IsZero() {
			return at.UTC().Truncate(time.Microsecond), nil
		}
	}
	return time.Time{}, errors.New("is neither a date such as 2026-12-31 nor a time such as 2026-12-31T18:00:00Z")
}

// quoted shows a text of the file in a message, cut.
func quoted(text string) string {
	const most = 40
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return fmt.Sprintf("%q", text)
}

// formulaStarts are the characters that make a spreadsheet take a field for a
// formula, full-width forms among them, and the apostrophe that disarms them.
const formulaStarts = "=+-@＝＋－＠'"

// escape disarms a text that a spreadsheet would take for a formula, and
// unescape is its inverse.
func escape(text string) string {
	if first, _ := utf8.DecodeRuneInString(text); text != "" && strings.ContainsRune(formulaStarts, first) {
		return "'" + text
	}
	return text
}

func unescape(text string) string {
	if rest, escaped := strings.CutPrefix(text, "'"); escaped && rest != "" && escape(rest) != rest {
		return rest
	}
	return text
}

// WriteCSV writes items so that ParseCSV reads them as they are, and so that
// people can open the file in a spreadsheet: a text that would begin a formula
// there gets an apostrophe in front, and every text stands in quotes, so that one
// field stays one field. Numbers and ranges need neither.
func WriteCSV(w io.Writer, typ rules.ListType, items func(yield func(Item) bool)) error {
	out := bufio.NewWriter(w)
	out.WriteString(columnValue + "," + columnNote + "," + columnExpires + "," + columnAuthor + "," + columnAdded + "\r\n")
	var err error
	for item := range items {
		value := item.Value
		if typ == rules.ListOfStrings {
			value = inQuotes(item.Value)
		}
		out.WriteString(value)
		out.WriteByte(',')
		out.WriteString(inQuotes(item.Note))
		out.WriteByte(',')
		out.WriteString(timeText(item.Expires))
		out.WriteByte(',')
		out.WriteString(inQuotes(item.Author))
		out.WriteByte(',')
		out.WriteString(timeText(item.AddedAt))
		if _, err = out.WriteString("\r\n"); err != nil {
			break // the writer keeps its first error
		}
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("write list: %w", err)
	}
	return nil
}

func inQuotes(text string) string {
	if text == "" {
		return ""
	}
	return `"` + strings.ReplaceAll(escape(text), `"`, `""`) + `"`
}

func timeText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}
