package api_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/internal/api"
	"github.com/sallyport/sallyport/internal/operators"
)

// told is a reader with one story, as the archive would tell it.
type told []events.Event

func (s told) Reader(context.Context) (events.Reader, api.Source) { return s, api.FromArchive }

func (s told) Decisions(context.Context, events.Filter) (events.Page[events.Decision], error) {
	return events.Page[events.Decision]{}, nil
}

func (s told) Story(context.Context, events.ActionID) ([]events.Event, error) { return s, nil }

func TestEveryKindOfEventIsOneSentence(t *testing.T) {
	id := events.ActionID{User: "ann", Code: "payment", Key: "k"}
	rows := []struct {
		record events.Record
		says   string
	}{
		{events.ActionTracked{ActionID: id, State: "ALLOW", Outcome: "CHALLENGE", Reason: "enrolment-policy", Set: 1}, "Allowed because the user has no authenticator to be challenged with."},
		{events.ActionTracked{ActionID: id, State: "BLOCK", Outcome: "BLOCK", Reason: "rule", Rule: "r", RuleName: "Huge", Set: 1}, "Blocked by the rule “Huge”."},
		{events.ActionTracked{ActionID: id, State: "REVIEW_REQUIRED", Outcome: "REVIEW", Reason: "default", Set: 1}, "Sent to review by default, as no rule matched."},
		{events.ActionTracked{ActionID: id, State: "CHALLENGE_REQUIRED", Outcome: "CHALLENGE", Reason: "fail-mode", Set: 1}, "Challenged because the decision could not be made."},
		{events.ActionTracked{ActionID: id, State: "CHALLENGE_REQUIRED", Outcome: "CHALLENGE", Reason: "management", Set: 1}, "Challenged because the action changes the user's authenticators."},
		{events.ActionTracked{ActionID: id, State: "CHALLENGE_REQUIRED", Outcome: "CHALLENGE", Reason: "enrolment-policy", Set: 1}, "Challenged, to enrol first because the user has no authenticator yet."},
		{events.ActionTracked{ActionID: id, State: "CHALLENGE_REQUIRED", Outcome: "CHALLENGE", Reason: "sign-in", Set: 1}, "Challenged because the user proves themselves with this very action."},
		{events.ActionUpdated{ActionID: id, State: "REVIEW_FAILED", From: "REVIEW_REQUIRED", By: "backend"}, "The backend moved the action from REVIEW_REQUIRED to REVIEW_FAILED."},
		{events.Ceremony{Step: events.KindCeremonyBegun, ActionID: id, Ceremony: "registration"}, "The user was asked to create a passkey."},
		{events.Ceremony{Step: events.KindCeremonyBegun, ActionID: id, Ceremony: "authentication"}, "The user was asked for a passkey."},
		{events.Ceremony{Step: events.KindCeremonySucceeded, ActionID: id, Ceremony: "registration"}, "The user created a passkey."},
		{events.Ceremony{Step: events.KindCeremonySucceeded, ActionID: id, Method: "PASSKEY", State: "CHALLENGE_SUCCEEDED"}, "The user proved it with a passkey."},
		{events.Ceremony{Step: events.KindCeremonyFailed, ActionID: id, Reason: "bad_signature"}, "The passkey was not accepted."},
		{events.Ceremony{Step: events.KindCeremonyBegun, ActionID: id, Ceremony: "registration", Method: events.MethodEmailOTP}, "The user was asked to confirm an e-mail address."},
		{events.Ceremony{Step: events.KindCeremonySucceeded, ActionID: id, Ceremony: "registration", Method: events.MethodAuthenticatorApp}, "The user set an authenticator app up."},
		{events.Ceremony{Step: events.KindCeremonyBegun, ActionID: id, Method: events.MethodSecurityKey, Purpose: "remove-authenticator"}, "The user was asked for a security key, to remove an authenticator."},
		{events.Ceremony{Step: events.KindCeremonySucceeded, ActionID: id, Method: events.MethodRecoveryCode, Purpose: "add-authenticator"}, "The user gave a recovery code, to add an authenticator."},
		{events.Ceremony{Step: events.KindCeremonyFailed, ActionID: id, Method: events.MethodEmailOTP, Purpose: "email", Reason: "wrong_code"}, "The code sent by e-mail was not accepted, to have codes sent elsewhere."},
		{events.Ceremony{Step: events.KindCeremonyFailed, ActionID: id, Reason: "bad_signature", State: "CHALLENGE_FAILED"}, "The passkey was not accepted, and no try was left."},
		{events.Ceremony{Step: events.KindCeremonyFailed, ActionID: id, Reason: "browser", Browser: "NotAllowedError"}, "The browser gave no answer: NotAllowedError."},
		{events.Ceremony{Step: events.KindCeremonyDenied, ActionID: id, State: "CHALLENGE_FAILED"}, "The user said: I didn't ask for this."},
		{events.Ceremony{Step: events.KindCeremonyAbandoned, ActionID: id, Reason: "timeout"}, "The user did not answer in time."},
		{events.Ceremony{Step: events.KindCeremonyAbandoned, ActionID: id, Reason: "interrupted"}, "The ceremony was interrupted."},
		{events.AuthenticatorAdded{ActionID: id, Method: "PASSKEY", Synced: true, By: "person"}, "The user added a synced passkey."},
		{events.AuthenticatorChanged{ActionID: id, Method: "PASSKEY", Fields: []string{"name", "default"}, By: "person"}, "The user changed the name, default of a passkey."},
		{events.AuthenticatorRemoved{ActionID: id, Method: "PASSKEY", By: "backend"}, "The backend removed a passkey."},
		{events.RecoveryCodesRenewed{ActionID: id, Count: 10, By: "person"}, "The user renewed the recovery codes, 10 in all."},
		{events.UserUpdated{ActionID: id, Fields: []string{"email", "locale"}, By: "backend"}, "The backend changed the user's email, locale."},
		{events.UserDeleted{ActionID: id, By: "operator:x"}, "An operator deleted the user."},
		{events.RuleSetPublished{Set: 7, Author: "management"}, "The management API published rule set 7."},
		{events.OperatorChanged{Step: events.KindOperatorInvited, Role: "analyst", By: "sallyport"}, "Sallyport invited a new analyst."},
		{events.OperatorChanged{Step: events.KindOperatorRegistered, Role: "analyst", By: "sallyport"}, "A new analyst registered."},
		{events.OperatorChanged{Step: events.KindOperatorSignedIn, Role: "analyst", By: "operator:x"}, "An operator signed in."},
		{events.LogRecovered{LogHead: 5, SeenHead: 9}, "An operator accepted that the log ends at event 5 although 9 had been seen."},
	}
	var story told
	var want []string
	kinds := map[events.Kind]bool{}
	for i, row := range rows {
		draft, err := events.NewDraft(row.record, nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		story = append(story, draft.At(events.Position{Epoch: 1, Seq: uint64(i + 1)}))
		want = append(want, row.says)
		kinds[draft.Kind] = true
	}
	if len(kinds) != 18 {
		t.Errorf("%d kinds of events have a row", len(kinds))
	}
	w := start(t, func(c *api.Config) { c.Readers = story })
	detail := w.operator(operators.Reviewer).do("GET", "/decision?user=ann&action=payment&key=k", nil).ok()
	steps, _ := detail.get("steps").([]any)
	var got []string
	for _, s := range steps {
		got = append(got, s.(map[string]any)["summary"].(string))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sentences (-want +got):\n%s", diff)
	}
	if !strings.Contains(detail.text, `"reason":"bad_signature"`) {
		t.Error("the stable code of a failure is missing")
	}
}
