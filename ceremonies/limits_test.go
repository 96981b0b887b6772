package ceremonies_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/ceremonies/ceremonytest"
	"github.com/sallyport/sallyport/events"
)

// from is a client at an address.
func from(address string) ceremonies.Client {
	return ceremonies.Client{Address: netip.MustParseAddr(address)}
}

// guess answers a new action with an app's code.
func guess(w *ceremonytest.World, user events.UserID, code string, client ceremonies.Client) error {
	w.Helper()
	grant := w.Track(user, events.StateChallengeRequired, "")
	_, err := w.RP.FinishCode(w.Context(), grant, ask(events.MethodAuthenticatorApp), "", code, client)
	return err
}

// locked is until when a refusal locks, zero when it does not.
func locked(err error) time.Time {
	var refused *ceremonies.RefusedError
	if !errors.As(err, &refused) || refused.Reason != ceremonies.ReasonLocked {
		return time.Time{}
	}
	return refused.Until
}

// 200 wrong codes of one person come at once, each for an action of its own.
func TestManyWrongCodesAtOnceAreCheckedUpToTheLimit(t *testing.T) {
	w := ceremonytest.New(t)
	code := app(t, w, "anna", w.Enrolled("anna", ceremonytest.Synced))
	grants := make([]ceremonies.Grant, 200)
	for i := range grants {
		grants[i] = w.Track("anna", events.StateChallengeRequired, "")
	}
	before, wrong := len(log(w)), another(code())
	got := tally(t, crowd(len(grants), func(i int) error {
		_, err := w.RP.FinishCode(t.Context(), grants[i], ask(events.MethodAuthenticatorApp), "", wrong, ceremonies.Client{})
		return err
	}))
	most := ceremonies.DefaultLimits.Wrong
	if got[ceremonies.ReasonWrongCode] != most || got[ceremonies.ReasonLocked] != len(grants)-most {
		t.Errorf("answers ended as %v", got)
	}
	if failed := reasons(t, log(w)[before:]); failed[ceremonies.ReasonWrongCode] != most {
		t.Errorf("failed events %v", failed)
	}
}

// One address guesses at many people at once; each of them has their own app.
func TestOneAddressGuessesAtManyUpToItsLimit(t *testing.T) {
	const most = 12
	w := ceremonytest.New(t, func(c *ceremonies.Config) {
		c.Limits = ceremonies.DefaultLimits
		c.Limits.WrongPerAddress = most
	})
	const people = 30
	grants := make([]ceremonies.Grant, people)
	for i := range grants {
		user := events.UserID(fmt.Sprintf("user-%d", i))
		app(t, w, user, w.Enrolled(user, ceremonytest.Synced))
		grants[i] = w.Track(user, events.StateChallengeRequired, "")
	}
	before := len(log(w))
	got := tally(t, crowd(people, func(i int) error {
		// The last bits of an IPv6 address are the customer's own.
		client := from(fmt.Sprintf("2001:db8:1:2::%d", i+1))
		_, err := w.RP.FinishCode(t.Context(), grants[i], ask(events.MethodAuthenticatorApp), "", "123456", client)
		return err
	}))
	if got[ceremonies.ReasonLocked] != people-most {
		t.Errorf("answers ended as %v", got)
	}
	if n := len(steps(t, log(w)[before:], events.KindCeremonyBegun)); n != most {
		t.Errorf("%d answers were checked", n)
	}
	if err := guess(w, "user-0", "123456", from("2001:db8:1:3::1")); !locked(err).IsZero() {
		t.Errorf("the neighbour's network is locked as well: %v", err)
	}
	until := locked(guess(w, "user-0", "123456", from("2001:db8:1:2:ffff::1")))
	if want := w.Clock.Now().Add(ceremonies.DefaultLimits.Lock); !until.Equal(want) {
		t.Errorf("locked until %v; want %v", until, want)
	}
}

// What counts is wrong codes: people who prove rightly from one office do not lock it.
func TestRightCodesCountForNoAddress(t *testing.T) {
	w := ceremonytest.New(t, func(c *ceremonies.Config) {
		c.Limits = ceremonies.DefaultLimits
		c.Limits.WrongPerAddress = 2
	})
	d := w.Enrolled("anna", ceremonytest.Synced)
	code := app(t, w, "anna", d)
	mailed(t, w, "anna", d)
	office := from("192.0.2.7")
	for range 4 {
		w.Clock.Move(time.Minute)
		if err := guess(w, "anna", code(), office); err != nil {
			t.Fatalf("a right code of the app: %v", err)
		}
		grant := w.Track("anna", events.StateChallengeRequired, "")
		id, sent := send(w, grant, ask(events.MethodEmailOTP))
		if _, err := w.RP.FinishCode(t.Context(), grant, ask(events.MethodEmailOTP), id, sent, office); err != nil {
			t.Fatalf("a right code by mail: %v", err)
		}
		w.Clock.Move(ceremonies.DefaultLimits.SendWindow)
	}
	for n := range 3 {
		if until := locked(guess(w, "anna", another(code()), office)); until.IsZero() != (n < 2) {
			t.Errorf("wrong code %d: locked until %v", n+1, until)
		}
	}
}

// Each lock that follows at once is twice as long; a right code ends that.
func TestLocksGrowUntilARightCode(t *testing.T) {
	w := ceremonytest.New(t)
	code := app(t, w, "anna", w.Enrolled("anna", ceremonytest.Synced))
	lock := func() time.Duration {
		t.Helper()
		for n := 0; ; n++ {
			until := locked(guess(w, "anna", another(code()), ceremonies.Client{}))
			if until.IsZero() {
				continue
			}
			if n != ceremonies.DefaultLimits.Wrong {
				t.Errorf("locked after %d codes", n)
			}
			lasts := until.Sub(w.Clock.Now())
			w.Clock.Move(lasts - time.Second)
			if again := locked(guess(w, "anna", code(), ceremonies.Client{})); !again.Equal(until) {
				t.Errorf("a right code within the lock: locked until %v; want %v", again, until)
			}
			w.Clock.Move(time.Second)
			return lasts
		}
	}
	var got []time.Duration
	for range 9 {
		got = append(got, lock())
	}
	const m15 = 15 * time.Minute
	want := []time.Duration{m15, 2 * m15, 4 * m15, 8 * m15, 16 * m15, 32 * m15, 64 * m15, ceremonies.MaxLock, ceremonies.MaxLock}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := guess(w, "anna", code(), ceremonies.Client{}); err != nil {
		t.Fatalf("a right code after the lock: %v", err)
	}
	w.Clock.Move(time.Minute)
	if d := lock(); d != m15 {
		t.Errorf("after a right code the lock lasts %v", d)
	}
}

// Whoever stays just below what locks must not have more guesses for it, and whoever
// waits for the end of each lock gets no further: DefaultLimits promise how few
// codes can be tried in a day.
func TestFewCodesCanBeTriedInADay(t *testing.T) {
	tests := []struct {
		name string
		wait func(until, now time.Time) time.Duration // after a lock, or with until zero before one
		most int                                      // in the first day
	}{
		{name: "by who is locked each time", most: 70, wait: func(until, now time.Time) time.Duration { return until.Sub(now) }},
		{name: "by who waits out each lock and more", most: 70, wait: func(until, now time.Time) time.Duration { return until.Sub(now) + 16*time.Minute }},
		{name: "by who stays below the limit", most: 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := ceremonytest.New(t)
			code := app(t, w, "anna", w.Enrolled("anna", ceremonytest.Synced))
			start, checked := w.Clock.Now(), 0
			for n := 1; w.Clock.Now().Before(start.Add(24 * time.Hour)); n++ {
				until := locked(guess(w, "anna", another(code()), ceremonies.Client{}))
				switch {
				case until.IsZero():
					checked++
				case tt.wait == nil: // it was locked all the same
					w.Clock.Move(24 * time.Hour)
				default:
					w.Clock.Move(tt.wait(until, w.Clock.Now()))
				}
				if tt.wait == nil && n%ceremonies.DefaultLimits.Wrong == 0 {
					w.Clock.Move(15*time.Minute + time.Second)
				}
			}
			if checked > tt.most {
				t.Errorf("%d codes were checked in a day; want %d at most", checked, tt.most)
			}
		})
	}
}

func TestSendingIsLimited(t *testing.T) {
	limits := ceremonies.DefaultLimits
	limits.SentPerAddress = 8
	w := ceremonytest.New(t, func(c *ceremonies.Config) { c.Limits = limits })
	for _, user := range []events.UserID{"anna", "bert"} {
		mailed(t, w, user, w.Enrolled(user, ceremonytest.Synced))
	}
	w.Clock.Move(time.Hour)
	sendTo := func(user events.UserID, client ceremonies.Client) error {
		grant := w.Track(user, events.StateChallengeRequired, "")
		_, err := w.RP.SendCode(t.Context(), grant, ask(events.MethodEmailOTP), client)
		return err
	}
	before := len(w.Mail.All(ceremonies.MailCode))
	for n := range limits.Sent {
		if err := sendTo("anna", from("192.0.2.7")); err != nil {
			t.Fatalf("mail %d: %v", n+1, err)
		}
	}
	until := locked(sendTo("anna", from("192.0.2.8")))
	if want := w.Clock.Now().Add(limits.SendWindow); !until.Equal(want) {
		t.Errorf("too many for one person: locked until %v; want %v", until, want)
	}
	for n := limits.Sent; n < limits.SentPerAddress; n++ {
		if err := sendTo("bert", from("192.0.2.7")); err != nil {
			t.Fatalf("mail %d from the address: %v", n+1, err)
		}
	}
	if until := locked(sendTo("bert", from("::ffff:192.0.2.7"))); until.IsZero() { // the same address
		t.Error("too many from one address were sent")
	}
	if n := len(w.Mail.All(ceremonies.MailCode)) - before; n != limits.SentPerAddress {
		t.Errorf("%d mails were sent", n)
	}
	// For a backend the address of mail is what is limited, whoever asks.
	for n := range limits.Sent + 1 {
		_, err := w.RP.RequestCode(t.Context(), ceremonies.CodeRequest{
			Action: events.ActionID{Code: "sign-in", Key: fmt.Sprint(n)}, Email: "carl@example.org",
		}, ceremonies.Client{})
		if locked(err).IsZero() != (n < limits.Sent) {
			t.Errorf("code %d for a backend: %v", n+1, err)
		}
	}
	w.Clock.Move(limits.SendWindow)
	if err := sendTo("anna", from("192.0.2.7")); err != nil {
		t.Errorf("after the lock: %v", err)
	}
}

func TestDeletingAPersonEndsTheirLocks(t *testing.T) {
	w := ceremonytest.New(t)
	d := w.Enrolled("anna", ceremonytest.Synced)
	code := app(t, w, "anna", d)
	recovery(t, w, "anna", d)
	for locked(guess(w, "anna", another(code()), ceremonies.Client{})).IsZero() {
	}
	if err := w.Store.DeleteUser(t.Context(), "anna", events.ByApplication); err != nil {
		t.Fatal(err)
	}
	w.Clock.Move(time.Second)
	if account := w.Account("anna"); account.Known || account.Codes != 0 {
		t.Errorf("account %+v", account)
	}
	code = app(t, w, "anna", w.Enrolled("anna", ceremonytest.Synced))
	if err := guess(w, "anna", code(), ceremonies.Client{}); err != nil {
		t.Errorf("the new person is locked: %v", err)
	}
	if account := w.Account("anna"); account.Codes != 0 {
		t.Errorf("the new person has %d codes of the old one", account.Codes)
	}
}
