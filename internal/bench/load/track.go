package load

import (
	"encoding/base64"
	"fmt"
	"strconv"
)

// Track builds track requests of one action with twenty facts each: user, user
// agent, device, address, e-mail, and fifteen custom values. Requests differ in
// user, key, device, address and amount.
type Track struct {
	Secret string // server secret, the user name of Basic authentication
	Action string
	Users  int // how many different people take turns, at least 1
}

// Action is one request's identity.
type Action struct{ User, Key string }

// At is the identity of the n-th request of a run. Keys are unique for a prefix
// that differs from run to run.
func (t Track) At(prefix string, n uint64) Action {
	// A multiplicative hash spreads neighbours in time over the people.
	person := (n * 0x9E3779B97F4A7C15 >> 33) % uint64(t.Users)
	return Action{User: fmt.Sprintf("user-%06d", person), Key: prefix + "-" + strconv.FormatUint(n, 10)}
}

// Append appends the whole HTTP request to buf.
func (t Track) Append(buf []byte, a Action, n uint64) []byte {
	var body [1024]byte
	b := t.appendBody(body[:0], a, n)
	buf = append(buf, "POST /v1/users/"...)
	buf = append(buf, a.User...)
	buf = append(buf, "/actions/"...)
	buf = append(buf, t.Action...)
	buf = append(buf, " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load\r\nAccept: application/json\r\nAuthorization: Basic "...)
	buf = base64.StdEncoding.AppendEncode(buf, []byte(t.Secret+":"))
	buf = append(buf, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	buf = strconv.AppendInt(buf, int64(len(b)), 10)
	buf = append(buf, "\r\n\r\n"...)
	return append(buf, b...)
}

// userAgent is what a browser sends today.
const userAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

var currencies = [...]string{"EUR", "USD", "GBP", "CHF"}

func (t Track) appendBody(b []byte, a Action, n uint64) []byte {
	b = append(b, `{"idempotencyKey":"`...)
	b = append(b, a.Key...)
	b = append(b, `","userAgent":"`...)
	b = append(b, userAgent...)
	b = append(b, `","deviceId":"device-of-`...)
	b = append(b, a.User...)
	b = append(b, `","ipAddress":"81.2.`...)
	b = strconv.AppendUint(b, n>>8&255, 10)
	b = append(b, '.')
	b = strconv.AppendUint(b, n&255, 10)
	b = append(b, `","email":"`...)
	b = append(b, a.User...)
	b = append(b, `@example.com","custom":{"amount":`...)
	b = strconv.AppendUint(b, 1+n%997, 10)
	b = append(b, `.25,"currency":"`...)
	b = append(b, currencies[n%uint64(len(currencies))]...)
	b = append(b, `","payee":"payee-`...)
	b = strconv.AppendUint(b, n%5003, 10)
	b = append(b, `","payeeCountry":"DE","payeeIsNew":`...)
	b = strconv.AppendBool(b, n%7 == 0)
	b = append(b, `,"channel":"web","accountAgeDays":`...)
	b = strconv.AppendUint(b, n%3000, 10)
	b = append(b, `,"balance":12034.5,"paymentsToday":`...)
	b = strconv.AppendUint(b, n%9, 10)
	b = append(b, `,"failedSignIns":`...)
	b = strconv.AppendUint(b, n%3, 10)
	return append(b, `,"cardPresent":false,"merchant":"m-4711","category":"5411","segment":"retail","note":"Invoice 2026-114"}}`...)
}

// Fields declares the custom values of Append, as the "fields" of a rule set in
// YAML.
const Fields = `fields:
  - {name: amount, type: number}
  - {name: currency, type: string}
  - {name: payee, type: string}
  - {name: payeeCountry, type: string}
  - {name: payeeIsNew, type: boolean}
  - {name: channel, type: string}
  - {name: accountAgeDays, type: number}
  - {name: balance, type: number}
  - {name: paymentsToday, type: number}
  - {name: failedSignIns, type: number}
  - {name: cardPresent, type: boolean}
  - {name: merchant, type: string}
  - {name: category, type: string}
  - {name: segment, type: string}
  - {name: note, type: string}
`
