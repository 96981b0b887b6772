package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/rules"
)

// client calls the management routes of a running server.
type client struct {
	base   string
	secret Secret
	http   http.Client
}

func newClient(getenv func(string) string) (client, error) {
	base, err := parseOrigin(cmp.Or(getenv("SALLYPORT_URL"), "http://localhost:8080"))
	if err != nil {
		return client{}, &SettingError{Source: "SALLYPORT_URL", Value: getenv("SALLYPORT_URL"), Err: err}
	}
	secret := Secret(getenv("SALLYPORT_MANAGEMENT_SECRET"))
	if secret == "" {
		return client{}, errors.New("set SALLYPORT_MANAGEMENT_SECRET; `sallyport secret renew-management` makes a new one if it is lost")
	}
	return client{base: base, secret: secret, http: http.Client{Timeout: time.Minute}}, nil
}

// do sends one request and returns the body of a 2xx answer. Another answer is
// an error, with the server's own sentence unless it is about the secret.
func (c client) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, http.Header, error) {
	header := http.Header{}
	if body != nil {
		header.Set("Content-Type", contentType)
	}
	response, err := c.open(ctx, method, path, header, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	answer, err := readAnswer(response)
	return answer, response.Header, err
}

// readAnswer reads the body of an answer and closes it.
func readAnswer(response *http.Response) ([]byte, error) {
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", response.Request.URL.Host, err)
	}
	return answer, nil
}

// maxAnswer is the largest answer that is read whole, bytes.
const maxAnswer = 64 << 20

// open sends one request and returns a 2xx answer, whose body the caller closes.
func (c client) open(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("build the request: %w", err)
	}
	request.Header = header
	request.SetBasicAuth(c.secret.Reveal(), "")
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no answer from %s (SALLYPORT_URL): %w", c.base, errors.Unwrap(err))
	}
	if response.StatusCode/100 == 2 {
		return response, nil
	}
	if response.StatusCode == http.StatusUnauthorized { // whose own sentence is for the SDKs
		response.Body.Close()
		return nil, fmt.Errorf("%s refuses the management secret in SALLYPORT_MANAGEMENT_SECRET; "+
			"`sallyport secret renew-management` makes a new one if it is lost", c.base)
	}
	answer, err := readAnswer(response)
	if err != nil {
		return nil, err
	}
	return nil, refusal(response, answer)
}

// get reads JSON into v.
func (c client) get(ctx context.Context, path string, v any) error {
	return c.send(ctx, http.MethodGet, path, "", nil, v)
}

// post sends request as JSON and reads the JSON answer into v.
func (c client) post(ctx context.Context, path string, request, v any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	return c.send(ctx, http.MethodPost, path, "application/json", body, v)
}

// send sends a body and reads the JSON answer into v, unless that is nil.
func (c client) send(ctx context.Context, method, path, contentType string, body []byte, v any) error {
	header := http.Header{"Accept": {"application/json"}}
	if body != nil {
		header.Set("Content-Type", contentType)
	}
	response, err := c.open(ctx, method, path, header, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if v == nil {
		return response.Body.Close()
	}
	return decodeAnswer(response, v)
}

// decodeAnswer reads a JSON answer into v.
func decodeAnswer(response *http.Response, v any) error {
	text, err := readAnswer(response)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read the answer of %s: %w", response.Request.URL.Host, err)
	}
	return nil
}

// asJSON prints a value for programs.
func (c call) asJSON(v any) error {
	encoder := json.NewEncoder(c.Out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// json reports whether the flag --json was given.
func (c call) json() bool { return c.value("json") == "true" }

// jsonFlag lets a command answer programs.
func jsonFlag(f *flag.FlagSet) { f.Bool("json", false, "print JSON") }

// RefusedError is what the server said instead of doing it.
type RefusedError struct {
	Status      int    // of HTTP
	Code        string // stable, see docs/api.md
	Description string // a sentence
	Details     []rules.Problem
	File        string // that was sent, "" for none
}

// Error is the sentence and a line for each detail.
func (e *RefusedError) Error() string {
	var b strings.Builder
	b.WriteString(e.Description)
	if len(e.Details) == 1 && e.Details[0].Line == 0 && strings.Contains(e.Description, strings.TrimSuffix(e.Details[0].Message, ".")) {
		return b.String() // the sentence says it
	}
	for _, p := range e.Details {
		line := p.Message // of a conflict: what was changed by somebody else
		if e.Status != http.StatusConflict {
			line = problemLine(e.File, p)
		}
		b.WriteString("\n  " + line)
	}
	return b.String()
}

// refusal reads an error answer.
func refusal(response *http.Response, answer []byte) error {
	var wire struct {
		Code        string          `json:"error"`
		Description string          `json:"errorDescription"`
		Details     []rules.Problem `json:"details"`
	}
	if json.Unmarshal(answer, &wire) != nil || wire.Description == "" {
		return fmt.Errorf("%s answered %s", response.Request.URL.Host, response.Status)
	}
	return &RefusedError{Status: response.StatusCode, Code: wire.Code, Description: wire.Description, Details: wire.Details}
}

// about names the file that a refused call was about.
func about(file string, err error) error {
	var refused *RefusedError
	if errors.As(err, &refused) {
		refused.File = file
	}
	return err
}

// problemLine writes a problem as FILE:LINE:COLUMN, so that editors can jump to it.
func problemLine(file string, p rules.Problem) string {
	var b strings.Builder
	b.WriteString(file)
	if p.Line > 0 {
		if b.Len() == 0 {
			b.WriteString("line ")
		} else {
			b.WriteByte(':')
		}
		b.WriteString(strconv.Itoa(p.Line))
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	if p.Rule != "" {
		b.WriteString("rule " + p.Rule + ": ")
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	return b.String() + p.Message
}

func operatorInvite(ctx context.Context, call call) error {
	c, err := newClient(call.Getenv)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"role": call.value("role")})
	if err != nil {
		return err
	}
	answer, _, err := c.do(ctx, http.MethodPost, "/v1/management/operators/invites", "application/json", body)
	if err != nil {
		return err
	}
	var invite struct {
		URL     string    `json:"url"`
		Expires time.Time `json:"expires"`
	}
	if err := json.Unmarshal(answer, &invite); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	fmt.Fprintf(call.Err, "Works once, until %s:\n", invite.Expires.Local().Format("2 January 15:04"))
	_, err = fmt.Fprintln(call.Out, invite.URL)
	return err
}

func secretShow(_ context.Context, call call) error {
	config, err := call.config()
	if err != nil {
		return err
	}
	secrets, err := ServerSecrets(config)
	if err != nil {
		return err
	}
	for _, s := range secrets {
		if _, err := fmt.Fprintln(call.Out, s.Reveal()); err != nil {
			return err
		}
	}
	return nil
}

func secretRenewManagement(_ context.Context, call call) error {
	config, err := call.config()
	if err != nil {
		return err
	}
	if config.ManagementSecret != "" {
		return errors.New("SALLYPORT_MANAGEMENT_SECRET is set and wins over a stored one: change it there")
	}
	secret, err := RenewManagement(config.Data)
	if err != nil {
		return err
	}
	fmt.Fprintln(call.Err, "The new management secret, from the next start of the server:")
	_, err = fmt.Fprintln(call.Out, secret.Reveal())
	return err
}
