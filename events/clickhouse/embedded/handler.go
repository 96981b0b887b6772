package embedded

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// maxWaiting is how many requests may wait for a connection; more are refused.
const maxWaiting = 256

// The codes of ClickHouse's exceptions that the handler raises itself.
const (
	codeUnknownException = 1002
	codeTooManyQueries   = 202
	codeBadRequest       = 36
	codeTooLarge         = 130 // TOO_LARGE_ARRAY_SIZE is ClickHouse's nearest word for an oversized request
)

// handler is ClickHouse's HTTP interface, as far as clickhouse-go and a person
// with curl use it: POST a statement, or an INSERT in the parameter query with
// its data in the body.
type handler struct {
	inserts chan *connection // one connection that no query can occupy
	queries chan *connection
	waiting atomic.Int64
	maxBody int64
	hello   []byte
	all     []*connection
}

func newHandler(lib *library, config ChildConfig) (*handler, error) {
	options := []string{"--path=" + filepath.Join(config.Dir, "data")}
	if config.Memory > 0 {
		// Marks of a few gigabytes of data fit into a sixteenth of a gigabyte.
		options = append(options, "--",
			fmt.Sprintf("--max_server_memory_usage=%d", config.Memory),
			fmt.Sprintf("--mark_cache_size=%d", config.Memory/16))
	}
	h := &handler{
		inserts: make(chan *connection, 1), queries: make(chan *connection, max(config.Queries, 1)),
		maxBody: config.Body,
	}
	for range cap(h.queries) + 1 {
		c, err := lib.open(options)
		if err != nil {
			return nil, fmt.Errorf("open ClickHouse's engine on %s: %w", config.Dir, err)
		}
		h.all = append(h.all, c)
	}
	h.inserts <- h.all[0]
	for _, c := range h.all[1:] {
		h.queries <- c
	}
	var version string
	err := h.all[0].run([]byte("SELECT version()"), "TabSeparated", func(result []byte) error {
		version = strings.TrimSpace(string(result))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask ClickHouse's engine for its version: %w", err)
	}
	h.hello = helloBlock(version)
	return h, nil
}

// close ends the connections. No request may be running.
func (h *handler) close() {
	for _, c := range h.all {
		c.close()
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/ping":
		_, _ = io.WriteString(w, "Ok.\n")
	case r.URL.Path != "/":
		http.NotFound(w, r)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		refuse(w, http.StatusMethodNotAllowed, codeBadRequest, "send the statement with POST")
	default:
		h.statement(w, r)
	}
}

// statement answers one POST.
func (h *handler) statement(w http.ResponseWriter, r *http.Request) {
	parameters := r.URL.Query()
	if parameters.Get("compress") == "1" || parameters.Get("decompress") == "1" ||
		strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		refuse(w, http.StatusBadRequest, codeBadRequest, "compression and external tables are not served on this socket")
		return
	}
	body := http.MaxBytesReader(nil, r.Body, h.maxBody)
	sql := []byte(parameters.Get("query"))
	var format []byte // of the data in the body, when the statement came as a parameter
	if len(sql) == 0 {
		var err error
		if sql, err = io.ReadAll(body); err != nil {
			refuseError(w, http.StatusBadRequest, fmt.Errorf("read the statement: %w", err))
			return
		}
	} else if m := insertWithData.FindSubmatch(sql); m != nil {
		sql, format = m[1], m[2]
	}
	if bytes.Equal(bytes.TrimSpace(sql), []byte(helloQuery)) {
		write(w, h.hello)
		return
	}
	session, err := sessionOf(parameters)
	if err != nil {
		refuse(w, http.StatusBadRequest, codeBadRequest, err.Error())
		return
	}
	verb := firstWord(sql)
	if verb == "SET" || verb == "USE" {
		refuse(w, http.StatusBadRequest, codeBadRequest,
			verb+" would act on the statements of others: send settings and the database as parameters of the request")
		return
	}
	c, giveBack, err := h.take(r.Context(), verb == "INSERT")
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, codeTooManyQueries, err.Error())
		return
	}
	defer giveBack()
	defer session.end(c)
	if err = session.begin(c); err == nil {
		if format != nil {
			err = c.insert(sql, string(format), body)
		} else {
			err = c.run(sql, cmp.Or(parameters.Get("default_format"), "TabSeparated"), func(result []byte) error {
				write(w, result)
				return nil
			})
		}
	}
	if err != nil {
		refuseError(w, http.StatusInternalServerError, err)
	}
}

// insertWithData is an INSERT whose data is the body of its request.
var insertWithData = regexp.MustCompile(`(?is)^(\s*INSERT\s.*)\sFORMAT\s+([A-Za-z0-9_]+)[\s;]*$`)

// firstWord is the upper-case verb of a statement.
func firstWord(sql []byte) string {
	words := bytes.Fields(sql[:min(len(sql), 64)])
	if len(words) == 0 {
		return ""
	}
	return strings.ToUpper(string(words[0]))
}

// take waits for a connection. It fails when too many wait already or the
// client has gone.
func (h *handler) take(ctx context.Context, insert bool) (*connection, func(), error) {
	pool := h.queries
	if insert {
		pool = h.inserts
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > maxWaiting {
		return nil, nil, errors.New("too many requests are waiting for ClickHouse's engine")
	}
	select {
	case c := <-pool:
		return c, func() { pool <- c }, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// write answers with a whole result. An error means that the client has gone.
func write(w http.ResponseWriter, result []byte) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(len(result)))
	_, _ = w.Write(result)
}

// refuse answers with an exception as ClickHouse's HTTP interface does.
func refuse(w http.ResponseWriter, status, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.Header().Set("X-ClickHouse-Exception-Code", strconv.Itoa(code))
	w.WriteHeader(status)
	if !strings.HasPrefix(text, "Code: ") {
		text = fmt.Sprintf("Code: %d. DB::Exception: %s", code, text)
	}
	_, _ = io.WriteString(w, text+"\n")
}

// refuseError answers with the engine's exception, or with what went wrong
// before the engine.
func refuseError(w http.ResponseWriter, status int, err error) {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		refuse(w, http.StatusRequestEntityTooLarge, codeTooLarge, err.Error())
		return
	}
	refuse(w, status, exceptionCode(err), err.Error())
}

var exceptionText = regexp.MustCompile(`^Code: (\d+)\.`)

// exceptionCode reads the code that the engine writes before its texts.
func exceptionCode(err error) int {
	if m := exceptionText.FindStringSubmatch(err.Error()); m != nil {
		if code, err := strconv.Atoi(m[1]); err == nil {
			return code
		}
	}
	return codeUnknownException
}

// session is what a request's parameters set for its statement alone.
type session struct {
	database string
	settings []string // name='value'
	names    []string // of settings, to be reset; query parameters are not
}

// transport are the parameters that concern HTTP itself, not the statement.
var transport = []string{
	"query", "database", "default_format", "client_protocol_version", "query_id", "quota_key", "compress",
	"decompress", "wait_end_of_query", "user", "password",
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// sessionOf reads a request's settings (max_threads=2) and query parameters
// (param_user=u1).
func sessionOf(parameters url.Values) (session, error) {
	s := session{database: parameters.Get("database")}
	for name, values := range parameters {
		if slices.Contains(transport, name) {
			continue
		}
		if !settingName.MatchString(name) {
			return session{}, fmt.Errorf("%q is not the name of a setting", name)
		}
		s.settings = append(s.settings, name+"="+quote(values[0]))
		if !strings.HasPrefix(name, "param_") {
			s.names = append(s.names, name+"=DEFAULT")
		}
	}
	return s, nil
}

// begin applies the session to a connection. Settings are a state of the
// connection, which serves one request at a time.
func (s session) begin(c *connection) error {
	if s.database != "" {
		if err := s.run(c, "USE `"+strings.NewReplacer("\\", "\\\\", "`", "\\`").Replace(s.database)+"`"); err != nil {
			return err
		}
	}
	if len(s.settings) == 0 {
		return nil
	}
	return s.run(c, "SET "+strings.Join(s.settings, ", "))
}

// end takes the session from the connection. After a begin that failed on one
// name, the others are reset one by one; a name that the engine does not know
// was never set.
func (s session) end(c *connection) {
	if s.database != "" {
		_ = s.run(c, "USE default")
	}
	if len(s.names) == 0 || s.run(c, "SET "+strings.Join(s.names, ", ")) == nil {
		return
	}
	for _, name := range s.names {
		_ = s.run(c, "SET "+name)
	}
}

func (s session) run(c *connection, sql string) error {
	return c.run([]byte(sql), "Null", func([]byte) error { return nil })
}

// quote writes a string literal of ClickHouse's SQL.
func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// helloQuery is clickhouse-go's first statement on a connection. It reads the
// answer as a block of its own protocol version and everything later as a block
// of the revision that the answer names.
const helloQuery = "SELECT displayName(), version(), revision(), timezone()"

// helloBlock answers helloQuery with revision 0, so that the client reads and
// writes plain Native blocks, which is what the engine speaks outside a server.
func helloBlock(version string) []byte {
	var b []byte
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	column := func(name, kind string) {
		text(name)
		text(kind)
		b = append(b, 0) // no custom serialization
	}
	b = append(b, 1, 0, 2) // block info: field 1, is_overflows, false; field 2, bucket_num
	b = binary.LittleEndian.AppendUint32(b, 0xffffffff)
	b = append(b, 0) // end of block info
	b = append(b, 4) // columns
	b = append(b, 1) // rows
	column("displayName()", "String")
	text("embedded")
	column("version()", "String")
	text(version)
	column("revision()", "UInt32")
	b = binary.LittleEndian.AppendUint32(b, 0)
	column("timezone()", "String")
	text("UTC")
	return b
}
