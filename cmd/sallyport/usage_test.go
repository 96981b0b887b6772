package main_test

import (
	"bytes"
	"net"
	"strings"
	"testing"

	sallyport "github.com/sallyport/sallyport/cmd/sallyport"
)

// TestWrongCommandLinesAreExplained runs what people type by mistake.
func TestWrongCommandLinesAreExplained(t *testing.T) {
	for _, tt := range []struct {
		name, line, want string
	}{
		{"no such command", "sevre", "there is no command \"sevre\"; did you mean serve?\nTry `sallyport help`."},
		{"a family alone", "rules", "rules needs one of apply, "},
		{"a misspelt command of a family", "rules aply x", "there is no command \"rules aply\"; did you mean apply?\nTry `sallyport help rules`."},
		{"help about nothing there is", "help lsits", "there is no command \"lsits\"; did you mean lists?"},
		{"help about a misspelt command", "help lists imprt", "did you mean import?"},
		{"a misspelt flag", "rules check x --strickt", "there is no flag --strickt here; did you mean --strict?\nTry `sallyport help rules check`."},
		{"a flag far from any", "rules check x --zzzzzz", "there is no flag --zzzzzz here\n"},
		{"a flag without its value", "rules apply x --note", "--note needs a value"},
		{"no number", "replay --limit many", `--limit: "many" is not a whole number`},
		{"neither true nor false", "rules check x --strict=maybe", `--strict: "maybe" is not true or false`},
		{"an unknown setting", "serve --orgins x", "there is no flag --orgins here; did you mean --origins?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, out, stderr := command(t, nil, strings.Fields(tt.line)...)
			if code != 2 || out != "" || !strings.Contains(stderr, tt.want) {
				t.Errorf("code %d, want 2: %s%s\nwant %s", code, out, stderr, tt.want)
			}
		})
	}
}

func TestHelpIsFoundInEveryWay(t *testing.T) {
	for line, want := range map[string][]string{
		"--version":                  {"sallyport "},
		"rules --help":               {"Usage: sallyport rules COMMAND", "rules apply FILE ", "rules rollback NUMBER"},
		"rules -h":                   {"Usage: sallyport rules COMMAND"},
		"lists help":                 {"Usage: sallyport lists COMMAND", "lists import LIST FILE"},
		"help drafts":                {"drafts save DRAFT FILE"},
		"help replay":                {"(10000 when left out)", "(7d when left out)"},
		"operator invite --help":     {"(administrator when left out)"},
		"secret show --help":         {"SALLYPORT_DATA", "SALLYPORT_SECRET"},
		"secret renew-management -h": {"SALLYPORT_MANAGEMENT_SECRET"},
		"recover --help":             {"SALLYPORT_NATS"},
		"rules rollback --help 3":    {"Usage: sallyport rules rollback NUMBER"},
		"help help":                  nil,
	} {
		t.Run(line, func(t *testing.T) {
			code, out, stderr := command(t, nil, strings.Fields(line)...)
			if want == nil {
				if code != 2 {
					t.Errorf("code %d: %s%s", code, out, stderr)
				}
				return
			}
			if code != 0 || stderr != "" {
				t.Errorf("code %d: %s", code, stderr)
			}
			for _, part := range want {
				if !strings.Contains(out, part) {
					t.Errorf("lacks %q:\n%s", part, out)
				}
			}
			if strings.Contains(out, "SALLYPORT_LISTEN") {
				t.Errorf("names settings that the command does not read:\n%s", out)
			}
		})
	}
}

func TestVariablesThatNothingReadsAreNamed(t *testing.T) {
	env := []string{
		"SALLYPORT_ORGINS=https://shop.example", "SALLYPORT_URL=http://localhost", "SALLYPORT_CONFIG=", "SALLYPORT_NAME=Shop",
		"SALLYPORT_SERVICE_HOST=10.0.0.1", "SALLYPORT_PORT_8080_TCP=tcp://10.0.0.1:8080", "SALLYPORT_PORT=tcp://10.0.0.1:8080",
		"SALLYPORT_EMPTY=", "SALLYPORT_SOMETHING_ELSE=1", "HOME=/",
	}
	want := "sallyport: SALLYPORT_ORGINS is in the environment but is no setting; did you mean SALLYPORT_ORIGINS?\n" +
		"sallyport: SALLYPORT_SOMETHING_ELSE is in the environment but is no setting\n"
	var out, stderr bytes.Buffer
	code := sallyport.Main(t.Context(), []string{"version"}, sallyport.IO{
		Getenv: environment(nil), Environ: func() []string { return env }, Out: &out, Err: &stderr,
	})
	if code != 0 || stderr.String() != want {
		t.Errorf("code %d, standard error:\n%s\nwant\n%s", code, &stderr, want)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	stderr.Reset()
	sallyport.Main(t.Context(), []string{"serve"}, sallyport.IO{
		Getenv: environment(map[string]string{
			"SALLYPORT_LISTEN": taken.Addr().String(), "SALLYPORT_DATA": dataFolder(t), "SALLYPORT_CLICKHOUSE": "off", "SALLYPORT_LOG_FORMAT": "json",
		}), Environ: func() []string { return env }, Out: &out, Err: &stderr,
	})
	if first, _, _ := strings.Cut(stderr.String(), "\n"); !strings.Contains(first, "SALLYPORT_ORGINS is in the environment") || !strings.Contains(first, `"WARN"`) {
		t.Errorf("serve logs\n%s", &stderr)
	}
}
