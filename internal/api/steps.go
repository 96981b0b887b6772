package api

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/ceremonies"
	"github.com/sallyport/sallyport/events"
)

// stepOf tells one event in one plain sentence.
func stepOf(e events.Event) (wireStep, error) {
	record, err := e.Decode()
	if err != nil {
		return wireStep{}, err
	}
	step := wireStep{
		Position: e.Position.String(), Time: wireTime(e.Time), Kind: e.Kind, State: e.State, Data: e.Body,
	}
	step.Summary, step.Reason = summary(record)
	return step, nil
}

// summary is the sentence and, for a refusal, its stable code.
func summary(record events.Record) (sentence, reason string) {
	switch r := record.(type) {
	case *events.ActionTracked:
		return trackedSentence(r), ""
	case *events.ActionUpdated:
		return fmt.Sprintf("%s moved the action from %s to %s.", capital(author(r.By)), r.From, r.State), ""
	case *events.Ceremony:
		return ceremonySentence(r), r.Reason
	case *events.AuthenticatorAdded:
		return fmt.Sprintf("%s added a %s.", capital(author(r.By)), passkey(r)), ""
	case *events.AuthenticatorChanged:
		return fmt.Sprintf("%s changed the %s of a %s.", capital(author(r.By)), strings.Join(r.Fields, ", "), method(r.Method)), ""
	case *events.AuthenticatorRemoved:
		return fmt.Sprintf("%s removed a %s.", capital(author(r.By)), method(r.Method)), ""
	case *events.RecoveryCodesRenewed:
		return fmt.Sprintf("%s renewed the recovery codes, %d in all.", capital(author(r.By)), r.Count), ""
	case *events.UserUpdated:
		return fmt.Sprintf("%s changed the user's %s.", capital(author(r.By)), strings.Join(r.Fields, ", ")), ""
	case *events.UserDeleted:
		return fmt.Sprintf("%s deleted the user.", capital(author(r.By))), ""
	case *events.RuleSetPublished:
		return fmt.Sprintf("%s published rule set %d.", capital(author(r.Author)), r.Set), ""
	case *events.OperatorChanged:
		return operatorSentence(r), ""
	case *events.LogRecovered:
		return fmt.Sprintf("An operator accepted that the log ends at event %d although %d had been seen.", r.LogHead, r.SeenHead), ""
	}
	return string(record.Kind()) + ".", ""
}

// decidedWords say what an action's first state means.
var decidedWords = map[events.ActionState]string{
	events.StateAllow: "Allowed", events.StateChallengeRequired: "Challenged",
	events.StateReviewRequired: "Sent to review", events.StateBlock: "Blocked",
}

func trackedSentence(r *events.ActionTracked) string {
	outcome := decidedWords[r.State]
	if outcome == "" {
		outcome = string(r.State)
	}
	switch r.Reason {
	case "rule":
		name := r.RuleName
		if name == "" {
			name = r.Rule
		}
		return fmt.Sprintf("%s by the rule \u201c%s\u201d.", outcome, name)
	case "default":
		return outcome + " by default, as no rule matched."
	case "fail-mode":
		return outcome + " because the decision could not be made."
	case "enrolment-policy":
		if r.State == events.StateChallengeRequired {
			return "Challenged, to enrol first because the user has no authenticator yet."
		}
		return outcome + " because the user has no authenticator to be challenged with."
	case "management":
		return outcome + " because the action changes the user's authenticators."
	case "sign-in":
		return outcome + " because the user proves themselves with this very action."
	}
	return outcome + "."
}

func ceremonySentence(r *events.Ceremony) string {
	enrolling := r.Ceremony == "registration"
	m := r.Method
	if m == "" { // of a record of old
		m = events.MethodPasskey
	}
	what, why := method(m), purposes[r.Purpose]
	switch r.Step {
	case events.KindCeremonyBegun:
		if enrolling {
			return "The user was asked to " + enrolments[m].asked + "."
		}
		return "The user was asked for a " + what + why + "."
	case events.KindCeremonySucceeded:
		if enrolling {
			return "The user " + enrolments[m].done + "."
		}
		if why != "" {
			return "The user gave a " + what + why + "."
		}
		return "The user proved it with a " + what + "."
	case events.KindCeremonyFailed:
		if r.Browser != "" {
			return fmt.Sprintf("The browser gave no answer: %s.", r.Browser)
		}
		if r.State == events.StateChallengeFailed {
			return "The " + what + " was not accepted, and no try was left."
		}
		return "The " + what + " was not accepted" + why + "."
	case events.KindCeremonyDenied:
		return "The user said: I didn't ask for this."
	case events.KindCeremonyAbandoned:
		if r.Reason == "interrupted" {
			return "The ceremony was interrupted."
		}
		return "The user did not answer in time."
	}
	return string(r.Step) + "."
}

// purposes are what a proof is for that completes no action.
var purposes = map[string]string{
	string(ceremonies.ForAdding):        ", to add an authenticator",
	string(ceremonies.ForRemoving):      ", to remove an authenticator",
	string(ceremonies.ForRecoveryCodes): ", to get new recovery codes",
	string(ceremonies.ForEmail):         ", to have codes sent elsewhere",
	string(ceremonies.ForSignIn):        ", to sign in",
}

// enrolments are the words of adding an authenticator.
var enrolments = map[events.Method]struct{ asked, done string }{
	events.MethodPasskey:          {"create a passkey", "created a passkey"},
	events.MethodSecurityKey:      {"register a security key", "registered a security key"},
	events.MethodAuthenticatorApp: {"set an authenticator app up", "set an authenticator app up"},
	events.MethodEmailOTP:         {"confirm an e-mail address", "confirmed an e-mail address"},
}

func operatorSentence(r *events.OperatorChanged) string {
	switch r.Step {
	case events.KindOperatorInvited:
		return fmt.Sprintf("%s invited a new %s.", capital(author(r.By)), r.Role)
	case events.KindOperatorRegistered:
		return fmt.Sprintf("A new %s registered.", r.Role)
	}
	return "An operator signed in."
}

// author names who did something.
func author(by string) string {
	switch by {
	case events.ByApplication:
		return "the backend"
	case events.ByPerson:
		return "the user"
	case events.ByManagement:
		return "the management API"
	case events.BySallyport:
		return "Sallyport"
	}
	if strings.HasPrefix(by, "operator:") {
		return "an operator"
	}
	return by
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func method(m events.Method) string {
	switch m {
	case events.MethodPasskey:
		return "passkey"
	case events.MethodSecurityKey:
		return "security key"
	case events.MethodRecoveryCode:
		return "recovery code"
	case events.MethodEmailOTP:
		return "code sent by e-mail"
	case events.MethodAuthenticatorApp:
		return "code of an authenticator app"
	}
	return strings.ToLower(string(m))
}

func passkey(r *events.AuthenticatorAdded) string {
	if r.Method == events.MethodPasskey && r.Synced {
		return "synced passkey"
	}
	return method(r.Method)
}
