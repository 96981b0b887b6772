package ceremonies_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// The bytes of a statement and of a challenge are fixed for ever: receipts that
// were made with them must verify with every later version. The golden values
// were computed apart from this code, with Python's hashlib:
//
//	sha256(b"sallyport/receipt/v1" + bytes(range(16, 48)) + sha256(document).digest())
func TestChallengeBytesAreFixed(t *testing.T) {
	random := make([]byte, 64)
	for i := range random {
		random[i] = byte(i)
	}
	w := ceremonytest.New(t)
	w.Enrolled("anna", ceremonytest.Synced)
	grant := w.Track("anna", events.StateChallengeRequired, "")
	pinned := w.RelyingParty(func(c *ceremonies.Config) { c.Rand = bytes.NewReader(random) })
	stepUp, err := pinned.BeginStepUp(t.Context(), grant, ceremonies.Ask{Shown: true})
	if err != nil {
		t.Fatal(err)
	}
	taken, err := w.Store.Take(t.Context(), stepUp.Challenge, grant.Action, w.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	const document = `{"action":"payment","data":{"amount":1250,"payee":"Maria K."},"expires":"2026-11-22T12:02:30Z",` +
		`"idempotencyKey":"order-2","locale":"en","purpose":"action","rpId":"shop.example","shown":"Pay 1250 to Maria K.",` +
		`"template":"payment@7","tenant":"acme","userId":"anna","v":1}`
	if string(taken.Digest) != document {
		t.Errorf("statement\n got %s\nwant %s", taken.Digest, document)
	}
	const challenge = "0cf58c0bf7bf00997cd201d91a13f916670fa285b8e158366cee2d11315e394d"
	if got := hex.EncodeToString(stepUp.Options.Challenge); got != challenge {
		t.Errorf("challenge %s, want %s", got, challenge)
	}
	if got, want := string(stepUp.Challenge), "AAAQEAYEAUDAOCAJBIFQYDIOB4"; got != want {
		t.Errorf("id %s, want %s", got, want)
	}
	var session struct {
		Challenge        string `json:"challenge"`
		UserVerification string `json:"userVerification"`
	}
	if err := json.Unmarshal(taken.Session, &session); err != nil {
		t.Fatal(err)
	}
	if session.UserVerification != "required" {
		t.Errorf("the session asks for user verification %q", session.UserVerification)
	}
}

func TestStatementIsCanonical(t *testing.T) {
	shown := "Pay €1 to <b>Ö</b>"
	base := ceremonies.Statement{Version: 1, Purpose: ceremonies.ForAction, Tenant: "t", RelyingParty: "r", User: "u", Action: "a", IdempotencyKey: "k", Expires: "e"}
	tests := map[string]struct {
		data  string
		shown *string
		want  string
	}{
		"no data, nothing shown": {want: `"data":null`},
		"numbers as doubles":     {data: `{"n":1e2,"m":1.50,"big":9007199254740993}`, want: `"data":{"big":9007199254740992,"m":1.5,"n":100}`},
		"the last of two counts": {data: `{"a":1,"a":2}`, want: `"data":{"a":2}`},
		"sorted members":         {data: `{"b":true,"a":null}`, want: `"data":{"a":null,"b":true}`},
		"text as it is":          {shown: &shown, want: `"shown":"Pay €1 to <b>Ö</b>"`},
		"an unpaired surrogate":  {data: `{"x":"\ud800"}`, want: "\"data\":{\"x\":\"\ufffd\"}"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := base
			s.Data, s.Shown = json.RawMessage(test.data), test.shown
			got, err := s.Canonical()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(got, []byte(test.want)) {
				t.Errorf("got %s, want it to hold %s", got, test.want)
			}
		})
	}
}

func TestShownTextCannotMislead(t *testing.T) {
	tests := map[string]struct{ prompt, want string }{
		"plain text":                  {"Pay €1 to Zoë", "Pay €1 to Zoë"},
		"a line of its own":           {"Pay 1 to Bob\n\nApproved already", "Pay 1 to Bob  Approved already"},
		"text that turns around":      {"Pay to \u202eevil\u202c now", "Pay to evil now"},
		"isolates":                    {"\u2066a\u2067b\u2068c\u2069", "abc"},
		"marks of right-to-left text": {"\u200fשלום\u200e", "\u200fשלום\u200e"},
		"control characters":          {"a\x00b\x1bc\u0085d", "a b c d"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := (ceremonies.Action{Prompt: test.prompt}).Shown(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
