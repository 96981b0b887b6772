package events_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
)

var noon = time.Date(2026, 2, 3, 12, 0, 0, 123_456_789, time.FixedZone("east", 3600))

func tracked() events.ActionTracked {
	return events.ActionTracked{
		ActionID: events.ActionID{User: "u1", Code: "payment", Key: "k1"}, State: events.StateChallengeRequired,
		Outcome: "CHALLENGE", Reason: "rule", Rule: "large", RuleName: "Large", Set: 7,
		Matches: json.RawMessage(`{"v":1}`), Enrolled: true, Country: "NZ", Shown: "pay-1", Micros: 42,
	}
}

func mustDraft(t *testing.T, record events.Record, personal events.Personal) events.Draft {
	t.Helper()
	draft, err := events.NewDraft(record, personal, noon)
	if err != nil {
		t.Fatal(err)
	}
	return draft
}

// The bytes of events are fixed for ever: archives and proofs hold them. A
// difference here is a new version, not a new golden value.
func TestBytesAreFixed(t *testing.T) {
	draft := mustDraft(t, tracked(), events.Personal{events.PersonalIP: "192.0.2.1", events.PersonalUserAgent: "agent"})
	const members = `{"user":"u1","action":"payment","key":"k1","state":"CHALLENGE_REQUIRED","outcome":"CHALLENGE",` +
		`"reason":"rule","rule":"large","ruleName":"Large","set":7,"matches":{"v":1},"enrolled":true,"country":"NZ",` +
		`"shown":"pay-1","micros":42,"personal":{"ip":"`
	if body := string(draft.Body); !strings.HasPrefix(body, members) {
		t.Errorf("got  %s\nwant %s…", body, members)
	}
	if got := string(draft.Personal); got != `{"ip":"192.0.2.1","userAgent":"agent"}` {
		t.Errorf("personal values %s", got)
	}
	t.Run("leaf", func(t *testing.T) {
		e := events.Event{
			Position: events.Position{Epoch: 0x0123456789abcdef, Seq: 42},
			Draft: events.Draft{
				Time: time.UnixMicro(1_770_116_400_123_456).UTC(), Kind: events.KindUserDeleted, Version: 1,
				Body: []byte(`{"user":"u1","by":"backend"}`),
			},
		}
		leaf := e.Leaf()
		const want = "c1ab18ac373b3f9c9965b57e5cacea3ab96ab0f675f662fddd4a72a706de2d4c"
		if got := hex.EncodeToString(leaf[:]); got != want {
			t.Errorf("got %s", got)
		}
	})
	t.Run("personal hash", func(t *testing.T) {
		// HMAC-SHA-256, key 00 01 … 0f, over "ip" 00 "192.0.2.1", made with another program.
		d := events.Draft{
			Kind: events.KindUserUpdated, Body: []byte(`{"personal":{"ip":"5nc6Ci5HQswjBnSYLAoLgHbKzHA-Z-f_oIvI9BZEWGA"}}`),
			Personal: []byte(`{"ip":"192.0.2.1"}`), Salt: []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
		}
		if err := d.VerifyPersonal(); err != nil {
			t.Error(err)
		}
	})
}

func TestNewDraft(t *testing.T) {
	t.Run("time is UTC in whole microseconds", func(t *testing.T) {
		draft := mustDraft(t, tracked(), nil)
		if want := time.Date(2026, 2, 3, 11, 0, 0, 123_456_000, time.UTC); draft.Time != want {
			t.Errorf("got %v, want %v", draft.Time, want)
		}
	})
	t.Run("takes kind, action and state from the record", func(t *testing.T) {
		draft := mustDraft(t, tracked(), nil)
		if draft.Kind != events.KindActionTracked || draft.Action != tracked().ActionID ||
			draft.State != events.StateChallengeRequired || draft.Version != events.Version {
			t.Errorf("got %+v", draft)
		}
	})
	t.Run("no personal values, no salt", func(t *testing.T) {
		draft := mustDraft(t, tracked(), events.Personal{})
		if draft.Salt != nil || draft.Personal != nil || bytes.Contains(draft.Body, []byte("personal")) {
			t.Errorf("got %+v", draft)
		}
	})
	t.Run("an empty record can carry personal values", func(t *testing.T) {
		draft := mustDraft(t, empty{}, events.Personal{"name": "x"})
		if !json.Valid(draft.Body) || !strings.HasPrefix(string(draft.Body), `{"personal":{"name":"`) {
			t.Errorf("got %s", draft.Body)
		}
	})
	t.Run("equal values have different hashes in every event", func(t *testing.T) {
		personal := events.Personal{events.PersonalEmail: "a@example.com"}
		a, b := mustDraft(t, tracked(), personal), mustDraft(t, tracked(), personal)
		if bytes.Equal(a.Body, b.Body) || bytes.Equal(a.Salt, b.Salt) || len(a.Salt) != 16 {
			t.Errorf("%s\n%s", a.Body, b.Body)
		}
	})
	t.Run("the body tells no personal value", func(t *testing.T) {
		draft := mustDraft(t, tracked(), events.Personal{events.PersonalEmail: "secret@example.com"})
		if bytes.Contains(draft.Body, []byte("secret")) {
			t.Errorf("%s", draft.Body)
		}
	})
	t.Run("a record that is no JSON is refused", func(t *testing.T) {
		record := tracked()
		record.Matches = json.RawMessage("{")
		if _, err := events.NewDraft(record, nil, noon); err == nil {
			t.Error("accepted")
		}
	})
}

// empty is a record without fields.
type empty struct{}

func (empty) Kind() events.Kind         { return "test.empty" }
func (empty) Of() events.ActionID       { return events.ActionID{} }
func (empty) After() events.ActionState { return "" }

func TestPersonalValues(t *testing.T) {
	values := events.Personal{
		events.PersonalIP: "192.0.2.1", events.PersonalName: "Zoë \"<&>\" \\ \n", events.PersonalFacts: `{"a":[1,"é"]}`, "empty": "",
	}
	draft := mustDraft(t, tracked(), values)
	got, err := draft.PersonalValues()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(values, got); diff != "" {
		t.Error(diff)
	}
	if err := draft.VerifyPersonal(); err != nil {
		t.Error(err)
	}
	t.Run("what JSON can't carry is replaced before it is hashed", func(t *testing.T) {
		draft := mustDraft(t, tracked(), events.Personal{events.PersonalUserAgent: "a\xff\xfeb"})
		if err := draft.VerifyPersonal(); err != nil {
			t.Error(err)
		}
		got, err := draft.PersonalValues()
		if err != nil || got[events.PersonalUserAgent] != "a\uFFFDb" {
			t.Errorf("got %q, %v", got, err)
		}
	})
	tests := []struct {
		name   string
		change func(*events.Draft)
		want   error
	}{
		{name: "nothing", change: func(*events.Draft) {}},
		{name: "erased", change: func(d *events.Draft) { d.Personal, d.Salt = nil, nil }},
		{name: "another value", change: func(d *events.Draft) { d.Personal = bytes.Replace(d.Personal, []byte("192"), []byte("193"), 1) }, want: events.ErrPersonal},
		{name: "another name", change: func(d *events.Draft) { d.Personal = bytes.Replace(d.Personal, []byte(`"ip"`), []byte(`"io"`), 1) }, want: events.ErrPersonal},
		{name: "one value less", change: func(d *events.Draft) { d.Personal = []byte(`{"ip":"192.0.2.1"}`) }, want: events.ErrPersonal},
		{name: "values without their salt", change: func(d *events.Draft) { d.Salt = nil }, want: events.ErrPersonal},
		{name: "salt without its values", change: func(d *events.Draft) { d.Personal = nil }, want: events.ErrPersonal},
		{name: "another salt", change: func(d *events.Draft) { d.Salt = bytes.Repeat([]byte{1}, 16) }, want: events.ErrPersonal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			changed := draft
			test.change(&changed)
			if err := changed.VerifyPersonal(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestLeaf(t *testing.T) {
	e := mustDraft(t, tracked(), events.Personal{events.PersonalIP: "192.0.2.1"}).At(events.Position{Epoch: 1, Seq: 2})
	leaf := e.Leaf()
	t.Run("survives erasure", func(t *testing.T) {
		erased := e
		erased.Personal, erased.Salt = nil, nil
		if erased.Leaf() != leaf {
			t.Error("the leaf has changed")
		}
	})
	for name, change := range map[string]func(*events.Event){
		"epoch":   func(e *events.Event) { e.Epoch++ },
		"seq":     func(e *events.Event) { e.Seq++ },
		"time":    func(e *events.Event) { e.Time = e.Time.Add(time.Microsecond) },
		"version": func(e *events.Event) { e.Version++ },
		"kind":    func(e *events.Event) { e.Kind = events.KindActionUpdated },
		"body":    func(e *events.Event) { e.Body = append([]byte(" "), e.Body...) },
		"a byte moved from kind to body": func(e *events.Event) {
			e.Body = append([]byte(e.Kind[len(e.Kind)-1:]), e.Body...)
			e.Kind = e.Kind[:len(e.Kind)-1]
		},
	} {
		t.Run("commits to "+name, func(t *testing.T) {
			changed := e
			change(&changed)
			if changed.Leaf() == leaf {
				t.Error("the leaf is the same")
			}
		})
	}
}

func TestDecode(t *testing.T) {
	id := events.ActionID{User: "u", Code: "payment", Key: "k"}
	ceremony := events.Ceremony{
		ActionID: id, State: events.StateChallengeSucceeded, Challenge: "c", Ceremony: "authentication", Purpose: "action",
		Method: events.MethodPasskey, Authenticator: "a", Reason: "r", Detail: "d", Tries: 2, Digest: "x", Shown: true, Browser: "NotAllowedError",
		Receipt: json.RawMessage(`{"v":1}`),
	}
	records := map[events.Kind]events.Record{
		events.KindActionTracked:        tracked(),
		events.KindActionUpdated:        events.ActionUpdated{ActionID: id, State: events.StateReviewFailed, From: events.StateReviewRequired, By: events.ByApplication},
		events.KindAuthenticatorAdded:   events.AuthenticatorAdded{ActionID: id, Authenticator: "a", Method: events.MethodPasskey, AAGUID: "g", Synced: true, By: events.ByPerson},
		events.KindAuthenticatorRemoved: events.AuthenticatorRemoved{ActionID: id, Authenticator: "a", Method: events.MethodPasskey, By: events.ByManagement},
		events.KindAuthenticatorChanged: events.AuthenticatorChanged{ActionID: id, Authenticator: "a", Method: events.MethodPasskey, Fields: []string{"name", "default"}, By: events.ByPerson},
		events.KindRecoveryCodesRenewed: events.RecoveryCodesRenewed{ActionID: id, Count: 10, By: events.ByPerson},
		events.KindUserUpdated:          events.UserUpdated{ActionID: id, Fields: []string{"email"}, By: events.ByApplication},
		events.KindUserDeleted:          events.UserDeleted{ActionID: id, By: events.ByApplication},
		events.KindRuleSetPublished:     events.RuleSetPublished{Set: 3, Author: "a", Note: "n", SHA256: "h"},
		events.KindLogRecovered:         events.LogRecovered{OldEpoch: 1<<63 + 1, LogHead: 1 << 60, SeenHead: 9},
	}
	for _, kind := range []events.Kind{
		events.KindCeremonyBegun, events.KindCeremonySucceeded, events.KindCeremonyFailed, events.KindCeremonyDenied, events.KindCeremonyAbandoned,
	} {
		step := ceremony
		step.Step = kind
		records[kind] = step
	}
	for _, kind := range []events.Kind{events.KindOperatorInvited, events.KindOperatorRegistered, events.KindOperatorSignedIn} {
		records[kind] = events.OperatorChanged{Step: kind, Operator: "o", Role: "admin", By: events.BySallyport}
	}
	for kind, record := range records {
		t.Run(string(kind), func(t *testing.T) {
			for _, personal := range []events.Personal{nil, {events.PersonalEmail: "a@example.com"}} {
				draft := mustDraft(t, record, personal)
				if draft.Kind != kind {
					t.Fatalf("the draft is of kind %s", draft.Kind)
				}
				got, err := draft.Decode()
				if err != nil {
					t.Fatal(err)
				}
				if got.Kind() != kind || got.Of() != draft.Action || got.After() != draft.State {
					t.Errorf("got %s of %v after %s", got.Kind(), got.Of(), got.After())
				}
				if diff := cmp.Diff(record, reflect.ValueOf(got).Elem().Interface()); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
	t.Run("an unknown kind is an error", func(t *testing.T) {
		if _, err := (events.Draft{Kind: "of the future", Body: []byte("{}")}).Decode(); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("a body that is no JSON is an error", func(t *testing.T) {
		if _, err := (events.Draft{Kind: events.KindActionTracked, Body: []byte("{")}).Decode(); err == nil {
			t.Error("accepted")
		}
	})
	t.Run("a field of a later version is passed over", func(t *testing.T) {
		if _, err := (events.Draft{Kind: events.KindUserDeleted, Body: []byte(`{"user":"u","later":1}`)}).Decode(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, kind := range []string{"action.tracked", "ceremony.succeeded", "log.recovered", "user.updated", "none"} {
		f.Add(kind, []byte(`{"user":"u","personal":{"ip":"x"},"oldEpoch":"0000000000000001"}`), []byte(`{"ip":"x"}`), []byte("salt"))
	}
	f.Fuzz(func(t *testing.T, kind string, body, personal, salt []byte) {
		draft := events.Draft{Kind: events.Kind(kind), Body: body, Personal: personal, Salt: salt}
		if record, err := draft.Decode(); err == nil && string(record.Kind()) != kind {
			t.Errorf("a record of kind %s", record.Kind())
		}
		if draft.VerifyPersonal() == nil && len(personal) > 0 {
			if _, err := draft.PersonalValues(); err != nil {
				t.Errorf("verified and unreadable: %v", err)
			}
		}
	})
}
