package readertest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/events"
)

// Run checks that the readers which open makes keep the contract of
// events.Reader. Open returns a reader over exactly the events of log: of one
// epoch, numbered from 1 without gaps, decisions before what follows from them.
func Run(t *testing.T, open func(t *testing.T, log []events.Event) events.Reader) {
	t.Run("an empty log has no decisions and no stories", func(t *testing.T) { testEmpty(t, open(t, nil)) })
	t.Run("a decision has every field", func(t *testing.T) { testFields(t, open) })
	t.Run("filters select", func(t *testing.T) { testFilters(t, open) })
	t.Run("pages follow one another without gaps or doubles", func(t *testing.T) { testPages(t, open) })
	t.Run("limits", func(t *testing.T) { testLimits(t, open) })
	t.Run("the state is the newest one", func(t *testing.T) { testState(t, open) })
	t.Run("a story is whole and in order", func(t *testing.T) { testStory(t, open) })
	t.Run("a story has an end", func(t *testing.T) { testLongStory(t, open) })
	t.Run("a foreign cursor is refused", func(t *testing.T) { testCursors(t, open) })
}

type opener = func(t *testing.T, log []events.Event) events.Reader

func decisions(t *testing.T, reader events.Reader, filter events.Filter) events.Page[events.Decision] {
	t.Helper()
	page, err := reader.Decisions(t.Context(), filter)
	if err != nil {
		t.Fatalf("%+v: %v", filter, err)
	}
	return page
}

func story(t *testing.T, reader events.Reader, id events.ActionID) []events.Event {
	t.Helper()
	list, err := reader.Story(t.Context(), id)
	if err != nil {
		t.Fatalf("%+v: %v", id, err)
	}
	return list
}

func testEmpty(t *testing.T, reader events.Reader) {
	page := decisions(t, reader, events.Filter{})
	if len(page.Items) != 0 || page.Next != "" {
		t.Errorf("got %+v", page)
	}
	if list := story(t, reader, id("u", "payment", 1)); len(list) != 0 {
		t.Errorf("got %v", list)
	}
}

func testFields(t *testing.T, open opener) {
	b := &builder{t: t}
	full := events.ActionTracked{
		ActionID: id("u1", "payment", 1), State: events.StateChallengeRequired, Outcome: "CHALLENGE", Reason: "rule",
		Rule: "large", RuleName: "Large “payment” <b>", Set: 4711,
		Matches:  json.RawMessage(`{"v":1,"matches":[{"id":"large","name":"a \\ \" \u0000 é"}],"count":1}`),
		Enrolled: true, Country: "NZ", Micros: 1234,
	}
	agent := "Mozilla/5.0 (X11; Linux) “quoted” 'single' \\ back\tslash"
	b.add(0, full, events.Personal{events.PersonalIP: "2001:db8::1", events.PersonalUserAgent: agent})
	erased := full
	erased.ActionID = id("u2", "payment", 2)
	b.add(time.Second, erased, events.Personal{events.PersonalIP: "192.0.2.1", events.PersonalUserAgent: agent})
	b.log[1].Personal, b.log[1].Salt = nil, nil
	b.track(2*time.Second, id("u3", "sign-in", 3), "ALLOW")

	want := []events.Decision{
		{
			Position: b.log[2].Position, ActionID: id("u3", "sign-in", 3), Time: start.Add(2 * time.Second),
			Outcome: "ALLOW", State: events.StateAllow, Reason: "default", Set: 1,
		},
		{
			Position: b.log[1].Position, ActionID: erased.ActionID, Time: start.Add(time.Second), Outcome: "CHALLENGE",
			State: events.StateChallengeRequired, Reason: "rule", Rule: "large", RuleName: full.RuleName, Set: 4711,
			Matches: full.Matches, Enrolled: true, Country: "NZ", Micros: 1234,
		},
		{
			Position: b.log[0].Position, ActionID: full.ActionID, Time: start, Outcome: "CHALLENGE",
			State: events.StateChallengeRequired, Reason: "rule", Rule: "large", RuleName: full.RuleName, Set: 4711,
			Matches: full.Matches, Enrolled: true, Country: "NZ", Micros: 1234, IP: "2001:db8::1", UserAgent: agent,
		},
	}
	got := decisions(t, open(t, b.log), events.Filter{}).Items
	meaning := cmp.Transformer("JSON", func(text json.RawMessage) string { return sameJSON(t, text) })
	if diff := cmp.Diff(want, got, meaning); diff != "" {
		t.Error(diff)
	}
}

func testFilters(t *testing.T, open opener) {
	b := &builder{t: t}
	users := []string{"u1", "u10", "o'brien", `back\slash`, "%", "É ☃", "u1 "}
	outcomes := []string{"ALLOW", "CHALLENGE", "REVIEW", "BLOCK"}
	for i := range 60 {
		code := []string{"payment", "pay", "add-payee"}[i%3]
		b.track(time.Duration(i)*time.Minute, id(users[i%len(users)], code, i), outcomes[i%len(outcomes)])
		b.add(time.Duration(i)*time.Minute, events.AuthenticatorAdded{
			ActionID: events.ActionID{User: events.UserID(users[i%len(users)])}, Authenticator: "a", By: events.ByPerson,
		}, nil)
	}
	reader := open(t, b.log)
	at := func(i int) time.Time { return start.Add(time.Duration(i) * time.Minute) }
	tests := []struct {
		name   string
		filter events.Filter
		some   bool // at least one decision is expected
	}{
		{name: "everything", some: true},
		{name: "user", filter: events.Filter{User: "u1"}, some: true},
		{name: "user with a quote", filter: events.Filter{User: "o'brien"}, some: true},
		{name: "user with a backslash", filter: events.Filter{User: `back\slash`}, some: true},
		{name: "user that would be a pattern", filter: events.Filter{User: "%"}, some: true},
		{name: "user beyond ASCII", filter: events.Filter{User: "É ☃"}, some: true},
		{name: "user with a blank at the end", filter: events.Filter{User: "u1 "}, some: true},
		{name: "unknown user", filter: events.Filter{User: "nobody"}},
		{name: "case matters", filter: events.Filter{User: "U1"}},
		{name: "action", filter: events.Filter{Action: "pay"}, some: true},
		{name: "outcome", filter: events.Filter{Outcome: "BLOCK"}, some: true},
		{name: "unknown outcome", filter: events.Filter{Outcome: "block"}},
		{name: "from is inclusive", filter: events.Filter{From: at(10)}, some: true},
		{name: "from between two events", filter: events.Filter{From: at(10).Add(time.Microsecond)}, some: true},
		{name: "to is exclusive", filter: events.Filter{To: at(10)}, some: true},
		{name: "to a microsecond later", filter: events.Filter{To: at(10).Add(time.Microsecond)}, some: true},
		{name: "from and to", filter: events.Filter{From: at(3), To: at(17)}, some: true},
		{name: "times of another zone", filter: events.Filter{From: at(3).In(time.FixedZone("east", 3600*13))}, some: true},
		{name: "empty time", filter: events.Filter{From: at(17), To: at(17)}},
		{name: "everything at once", filter: events.Filter{User: "u1", Action: "payment", Outcome: "ALLOW", From: at(0), To: at(1)}, some: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.filter.Limit = events.MaxPage
			want := selected(b.log, test.filter)
			if (len(want) > 0) != test.some {
				t.Fatalf("the case selects %d decisions", len(want))
			}
			page := decisions(t, reader, test.filter)
			if diff := cmp.Diff(want, keys(page.Items), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if page.Next != "" {
				t.Errorf("nothing follows, but Next is %q", page.Next)
			}
		})
	}
}

// selected is what a filter selects of a log, newest first, as keys names it.
func selected(log []events.Event, f events.Filter) []string {
	var list []events.Decision
	for _, e := range log {
		record, err := e.Decode()
		if err != nil {
			panic(err) // the suite wrote it
		}
		tracked, ok := record.(*events.ActionTracked)
		if !ok || f.User != "" && e.Action.User != f.User || f.Action != "" && e.Action.Code != f.Action ||
			f.Outcome != "" && tracked.Outcome != f.Outcome || e.Time.Before(f.From) || !f.To.IsZero() && !e.Time.Before(f.To) {
			continue
		}
		list = append(list, events.Decision{Position: e.Position, ActionID: e.Action, Time: e.Time})
	}
	slices.SortFunc(list, func(a, b events.Decision) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		return int(b.Seq) - int(a.Seq)
	})
	return keys(list)
}

func testPages(t *testing.T, open opener) {
	b := &builder{t: t}
	for i := range 60 {
		// Runs of equal times, and times that run against the numbers.
		after := time.Duration(i/7) * time.Microsecond
		if i%5 == 0 {
			after = -after
		}
		b.track(after, id(fmt.Sprintf("u%d", i%2), "payment", i), "ALLOW")
	}
	reader := open(t, b.log)
	for _, filter := range []events.Filter{{}, {User: "u1"}, {From: start.Add(-3 * time.Microsecond), To: start.Add(5 * time.Microsecond)}} {
		want := selected(b.log, filter)
		for _, limit := range []int{1, 7, 10, 30, 59, 60, 61} {
			t.Run(fmt.Sprintf("of %d, user %q", limit, filter.User), func(t *testing.T) {
				filter := filter
				filter.Limit = limit
				var got []string
				for range len(want) + 1 {
					page := decisions(t, reader, filter)
					got = append(got, keys(page.Items)...)
					if filter.After = page.Next; page.Next == "" {
						break
					}
					if len(page.Items) != limit {
						t.Fatalf("a page of %d that others follow", len(page.Items))
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func testLimits(t *testing.T, open opener) {
	b := &builder{t: t}
	for i := range events.MaxPage + 1 {
		b.track(time.Duration(i)*time.Second, id("u", "payment", i), "ALLOW")
	}
	reader := open(t, b.log)
	for limit, want := range map[int]int{0: 50, 1: 1, events.MaxPage: events.MaxPage} {
		page := decisions(t, reader, events.Filter{Limit: limit})
		if len(page.Items) != want || page.Next == "" {
			t.Errorf("limit %d: %d decisions, next %q; want %d and a cursor", limit, len(page.Items), page.Next, want)
		}
	}
	for _, limit := range []int{-1, events.MaxPage + 1} {
		if _, err := reader.Decisions(t.Context(), events.Filter{Limit: limit}); err == nil {
			t.Errorf("limit %d is accepted", limit)
		}
	}
}

func testState(t *testing.T, open opener) {
	b := &builder{t: t}
	proven, failed, reviewed, begun := id("u", "payment", 1), id("u", "payment", 2), id("u", "payment", 3), id("u", "payment", 4)
	for i, action := range []events.ActionID{proven, failed, reviewed, begun} {
		b.track(time.Duration(i)*time.Second, action, "CHALLENGE")
	}
	for _, action := range []events.ActionID{proven, failed, begun} {
		b.add(time.Minute, events.Ceremony{Step: events.KindCeremonyBegun, ActionID: action, Challenge: "c"}, nil)
	}
	b.add(2*time.Minute, events.Ceremony{Step: events.KindCeremonySucceeded, ActionID: proven, State: events.StateChallengeSucceeded}, nil)
	b.add(2*time.Minute, events.Ceremony{Step: events.KindCeremonyFailed, ActionID: failed, Reason: "signature"}, nil)
	b.add(3*time.Minute, events.Ceremony{Step: events.KindCeremonyDenied, ActionID: failed, State: events.StateChallengeFailed}, nil)
	b.add(4*time.Minute, events.ActionUpdated{ActionID: reviewed, State: events.StateReviewRequired, From: events.StateChallengeRequired, By: events.ByApplication}, nil)
	// The clock of the node that wrote this one is behind: the number counts.
	b.add(3*time.Minute, events.ActionUpdated{ActionID: reviewed, State: events.StateReviewSucceeded, From: events.StateReviewRequired, By: events.ByApplication}, nil)

	want := map[events.ActionID]events.ActionState{
		proven: events.StateChallengeSucceeded, failed: events.StateChallengeFailed,
		reviewed: events.StateReviewSucceeded, begun: events.StateChallengeRequired,
	}
	got := map[events.ActionID]events.ActionState{}
	for _, d := range decisions(t, open(t, b.log), events.Filter{}).Items {
		got[d.ActionID] = d.State
		if d.Outcome != "CHALLENGE" {
			t.Errorf("the outcome of %v has become %s", d.ActionID, d.Outcome)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func testStory(t *testing.T, open opener) {
	b := &builder{t: t}
	action := events.ActionID{User: "o'brien", Code: "payment", Key: `k\1 "☃"`}
	personal := events.Personal{events.PersonalIP: "192.0.2.1", events.PersonalFacts: `{"a":"é \\ \" <>"}`}
	var want []events.Event
	want = append(want, b.add(0, events.ActionTracked{
		ActionID: action, State: events.StateChallengeRequired, Outcome: "CHALLENGE", Reason: "default", Set: 1,
	}, personal))
	for i, other := range []events.ActionID{
		{User: "other", Code: action.Code, Key: action.Key},
		{User: action.User, Code: "sign-in", Key: action.Key},
		{User: action.User, Code: action.Code, Key: "other"},
	} {
		b.track(time.Duration(i)*time.Second, other, "ALLOW")
	}
	// A clock that is behind does not change the order within an epoch.
	want = append(want, b.add(-time.Second, events.Ceremony{
		Step: events.KindCeremonyBegun, ActionID: action, Challenge: "c1", Purpose: "action",
	}, events.Personal{events.PersonalUserAgent: "agent"}))
	want = append(want, b.add(time.Second, events.Ceremony{
		Step: events.KindCeremonySucceeded, ActionID: action, State: events.StateChallengeSucceeded,
		Receipt: json.RawMessage(`{"signature":"` + strings.Repeat("MEUCIQ", 200) + `"}`),
	}, nil))
	erased := b.add(2*time.Second, events.ActionUpdated{
		ActionID: action, State: events.StateReviewRequired, From: events.StateChallengeSucceeded, By: events.ByApplication,
	}, events.Personal{events.PersonalName: "Erased"})
	last := &b.log[len(b.log)-1]
	last.Personal, last.Salt = nil, nil
	erased.Personal, erased.Salt = nil, nil
	want = append(want, erased)

	reader := open(t, b.log)
	got := story(t, reader, action)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	for i, e := range got {
		if e.Leaf() != want[i].Leaf() {
			t.Errorf("the leaf of %s is another", e.Position)
		}
		if err := e.VerifyPersonal(); err != nil {
			t.Errorf("%s: %v", e.Position, err)
		}
	}
	for _, unknown := range []events.ActionID{id("nobody", "payment", 1), {User: action.User, Code: action.Code, Key: "nothing"}} {
		if list := story(t, reader, unknown); len(list) != 0 {
			t.Errorf("the story of %v has %d events", unknown, len(list))
		}
	}
}

func testLongStory(t *testing.T, open opener) {
	b := &builder{t: t}
	action := id("u", "payment", 1)
	b.track(0, action, "CHALLENGE")
	for i := range events.MaxStory + 3 {
		b.add(time.Duration(i)*time.Second, events.Ceremony{Step: events.KindCeremonyBegun, ActionID: action}, nil)
	}
	if diff := cmp.Diff(b.log[:events.MaxStory], story(t, open(t, b.log), action)); diff != "" {
		t.Error(diff)
	}
}

func testCursors(t *testing.T, open opener) {
	b := &builder{t: t}
	b.track(0, id("u", "payment", 1), "ALLOW")
	reader := open(t, b.log)
	for _, text := range []string{
		"x", "-", "MQ", "' OR 1=1 --", strings.Repeat("A", 31), strings.Repeat("A", 33), strings.Repeat("A", 31) + "=",
		strings.Repeat("A", 16) + "\n" + strings.Repeat("A", 16), base64.RawURLEncoding.EncodeToString(make([]byte, 25)),
	} {
		_, err := reader.Decisions(t.Context(), events.Filter{After: events.Cursor(text)})
		if !errors.Is(err, events.ErrCursor) {
			t.Errorf("%q: got %v, want ErrCursor", text, err)
		}
	}
}
