package events

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"time"
)

// Version is the version of the record structs and of the leaf's layout that
// this build writes.
const Version = 1

// Record is the body of one kind of event: a struct of plain fields.
type Record interface {
	// Kind is the event's kind.
	Kind() Kind
	// Of is the action the event is about. Events about a user alone carry only
	// User; events about no person carry the zero value.
	Of() ActionID
	// After is the state of the action after the event, or "" when the event
	// does not change it.
	After() ActionState
}

// Personal are the values of an event that belong to a person, by field name.
// Each is erased with the person.
type Personal map[string]string

// The names of personal fields that the readers know.
const (
	PersonalFacts     = "facts"     // the decision's facts, as the rules codec writes them (JSON)
	PersonalIP        = "ip"        // address of the person's device
	PersonalUserAgent = "userAgent" // user agent of the person's browser
	PersonalDevice    = "device"    // device id
	PersonalEmail     = "email"     // e-mail address
	PersonalName      = "name"      // user name or display name
)

// Draft is an event that the log has not numbered yet. Its bytes are final.
type Draft struct {
	Time     time.Time // UTC, whole microseconds
	Kind     Kind
	Version  int
	Action   ActionID
	State    ActionState // state of the action after the event, "" when unchanged
	Body     []byte      // JSON object; personal values replaced by salted hashes under "personal"
	Personal []byte      // JSON object of the values, nil when there are none
	Salt     []byte      // 16 random bytes, nil when there are no personal values

	// Local is what the writer knew before it made the bytes: a *rules.Occurrence for
	// an ActionTracked, or what the metrics prepared from it. It spares readers in the
	// same process reading them again, is nil elsewhere, and never stored or sent.
	Local any
}

// Event is a numbered draft. Personal and Salt are nil once they are erased.
type Event struct {
	Position
	Draft
}

// NewDraft fixes the bytes of an event. Bytes of a personal value that are not
// UTF-8 become U+FFFD, as JSON can't carry them. It fails only when record
// cannot be written as JSON.
func NewDraft(record Record, personal Personal, now time.Time) (Draft, error) {
	draft := Draft{
		Time: now.UTC().Truncate(time.Microsecond), Kind: record.Kind(), Version: Version,
		Action: record.Of(), State: record.After(),
	}
	body, err := json.Marshal(record)
	if err != nil {
		return Draft{}, fmt.Errorf("write %s record: %w", draft.Kind, err)
	}
	if len(personal) == 0 {
		draft.Body = body
		return draft, nil
	}
	clean := make(Personal, len(personal)) // what is hashed must be what is stored
	for name, value := range personal {
		clean[strings.ToValidUTF8(name, "\uFFFD")] = strings.ToValidUTF8(value, "\uFFFD")
	}
	draft.Salt = make([]byte, 16)
	rand.Read(draft.Salt)
	draft.Personal, err = json.Marshal(clean)
	if err != nil {
		return Draft{}, fmt.Errorf("write personal fields of %s: %w", draft.Kind, err)
	}
	draft.Body = withHashes(body, clean, draft.Salt)
	return draft, nil
}

// withHashes appends the member "personal" to a JSON object: each field's
// salted hash under the field's name, names in order.
func withHashes(body []byte, personal Personal, salt []byte) []byte {
	out := bytes.TrimSuffix(body, []byte("}"))
	if len(out) > 1 {
		out = append(out, ',')
	}
	out = append(out, `"personal":{`...)
	mac := hmac.New(sha256.New, salt) // one for all fields: setting it up costs more than using it
	for i, name := range slices.Sorted(maps.Keys(personal)) {
		if i > 0 {
			out = append(out, ',')
		}
		quoted, _ := json.Marshal(name) // a string always encodes
		out = append(out, quoted...)
		out = append(out, `:"`...)
		out = base64.RawURLEncoding.AppendEncode(out, personalHash(mac, name, personal[name]))
		out = append(out, '"')
	}
	return append(out, "}}"...)
}

// personalHash commits to a value without telling it: HMAC-SHA-256 under the
// event's own salt over the field's name, a zero byte and the value, so that
// equal values in two events, or in two fields, cannot be linked.
func personalHash(mac hash.Hash, name, value string) []byte {
	mac.Reset()
	mac.Write([]byte(name))
	mac.Write([]byte{0})
	mac.Write([]byte(value))
	return mac.Sum(nil)
}

// At numbers the draft.
func (d Draft) At(p Position) Event { return Event{Position: p, Draft: d} }

// Leaf is the hash that stands for the event in the log's Merkle tree:
// SHA-256(0x00 || epoch || seq || time || version || len(kind) || kind || body),
// integers big-endian, time in microseconds since 1970 (RFC 6962, section 2.1,
// for the leading zero). Erasing personal values does not change it.
func (e Event) Leaf() [sha256.Size]byte {
	buf := make([]byte, 0, 1+8+8+8+2+2+len(e.Kind)+len(e.Body))
	buf = append(buf, 0)
	buf = binary.BigEndian.AppendUint64(buf, uint64(e.Epoch))
	buf = binary.BigEndian.AppendUint64(buf, e.Seq)
	buf = binary.BigEndian.AppendUint64(buf, uint64(e.Time.UnixMicro()))
	buf = binary.BigEndian.AppendUint16(buf, uint16(e.Version))
	buf = binary.BigEndian.AppendUint16(buf, uint16(len(e.Kind)))
	buf = append(buf, e.Kind...)
	buf = append(buf, e.Body...)
	return sha256.Sum256(buf)
}

// PersonalValues reads the personal values that stand beside the body. It is
// empty for an event without any and for an erased one.
func (d Draft) PersonalValues() (Personal, error) {
	if len(d.Personal) == 0 {
		return Personal{}, nil
	}
	var p Personal
	if err := json.Unmarshal(d.Personal, &p); err != nil {
		return nil, fmt.Errorf("read personal fields of %s: %w", d.Kind, err)
	}
	return p, nil
}

// ErrPersonal means that the personal values beside a body are not those the
// body commits to.
var ErrPersonal = errors.New("personal values do not match the event's body")

// VerifyPersonal checks the personal values against the hashes in the body. An
// erased event (no values, no salt) passes: its body still proves itself.
func (d Draft) VerifyPersonal() error {
	if len(d.Personal) == 0 && len(d.Salt) == 0 {
		return nil
	}
	values, err := d.PersonalValues()
	if err != nil {
		return err
	}
	var body struct {
		Personal map[string]string `json:"personal"`
	}
	if err := json.Unmarshal(d.Body, &body); err != nil {
		return fmt.Errorf("read body of %s: %w", d.Kind, err)
	}
	if len(values) != len(body.Personal) {
		return ErrPersonal
	}
	mac := hmac.New(sha256.New, d.Salt)
	for name, value := range values {
		want := base64.RawURLEncoding.EncodeToString(personalHash(mac, name, value))
		if body.Personal[name] != want {
			return ErrPersonal
		}
	}
	return nil
}
