package events

import (
	"encoding/json"
	"fmt"
)

// Kind names what happened. Values never change their meaning; new ones join.
type Kind string

// The kinds of events.
const (
	KindActionTracked        Kind = "action.tracked"
	KindActionUpdated        Kind = "action.updated"
	KindCeremonyBegun        Kind = "ceremony.begun"
	KindCeremonySucceeded    Kind = "ceremony.succeeded"
	KindCeremonyFailed       Kind = "ceremony.failed"
	KindCeremonyDenied       Kind = "ceremony.denied"
	KindCeremonyAbandoned    Kind = "ceremony.abandoned"
	KindAuthenticatorAdded   Kind = "authenticator.added"
	KindAuthenticatorChanged Kind = "authenticator.changed"
	KindAuthenticatorRemoved Kind = "authenticator.removed"
	KindRecoveryCodesRenewed Kind = "recovery-codes.renewed"
	KindUserUpdated          Kind = "user.updated"
	KindUserDeleted          Kind = "user.deleted"
	KindRuleSetPublished     Kind = "ruleset.published"
	KindDraftSaved           Kind = "draft.saved"
	KindDraftApproved        Kind = "draft.approved"
	KindDraftDeleted         Kind = "draft.deleted"
	KindListChanged          Kind = "list.changed"
	KindOperatorInvited      Kind = "operator.invited"
	KindOperatorRegistered   Kind = "operator.registered"
	KindOperatorSignedIn     Kind = "operator.signed-in"
	KindLogRecovered         Kind = "log.recovered"
)

// The authors of a change, as the field By of the records names them. An
// operator is "operator:" and the operator's id.
const (
	ByApplication = "backend" // a call with the server secret
	ByPerson      = "person"  // the user, through a ceremony
	ByManagement  = "management"
	BySallyport   = "sallyport" // a background job
)

// ActionTracked is the decision about one action.
type ActionTracked struct {
	ActionID
	State    ActionState     `json:"state"`
	Outcome  string          `json:"outcome"`            // what the rules said: ALLOW, CHALLENGE, REVIEW or BLOCK
	Reason   string          `json:"reason"`             // why this outcome: rule, default, fail-mode, enrolment-policy, management, sign-in
	Rule     string          `json:"rule,omitempty"`     // id of the rule that decided
	RuleName string          `json:"ruleName,omitempty"` // its name at that time
	Set      int             `json:"set"`                // number of the rule set
	Matches  json.RawMessage `json:"matches,omitempty"`  // version-tagged, written by the rules codec
	Enrolled bool            `json:"enrolled"`
	Country  string          `json:"country,omitempty"` // ISO 3166-1 alpha-2, from the address
	Shown    string          `json:"shown,omitempty"`   // id of the template whose text a challenge shows
	Allowed  []Method        `json:"allowed,omitempty"` // methods that a challenge accepts; none means any
	// UserVerification is what a challenge asks of the authenticator: required,
	// preferred or discouraged. Empty means the server's default.
	UserVerification string   `json:"userVerification,omitempty"`
	SignIn           bool     `json:"signIn,omitempty"` // the person proves themselves with this very action
	AsOf             string   `json:"asOf,omitempty"`   // position of the last event folded into the metrics that were read
	Lists            int64    `json:"lists,omitempty"`  // number of the last change of lists that was taken into account
	IPData           string   `json:"ipData,omitempty"` // version of the IP data
	Added            []string `json:"added,omitempty"`  // names of lists that live matches added to
	Micros           int64    `json:"micros"`           // time to decide, without the commit
}

// ActionUpdated is a change of state by the backend or a reviewer.
type ActionUpdated struct {
	ActionID
	State ActionState `json:"state"`
	From  ActionState `json:"from"`
	By    string      `json:"by"`
}

// Ceremony is one step of a ceremony. Step is one of the five ceremony kinds.
type Ceremony struct {
	Step Kind `json:"-"`
	ActionID
	State         ActionState     `json:"state,omitempty"` // of the action, when this step changed it
	Challenge     ChallengeID     `json:"challenge,omitempty"`
	Ceremony      string          `json:"ceremony,omitempty"` // "authentication" or "registration"
	Purpose       string          `json:"purpose,omitempty"`  // "action" or "enrolment"
	Method        Method          `json:"method,omitempty"`
	Authenticator AuthenticatorID `json:"authenticator,omitempty"`
	Reason        string          `json:"reason,omitempty"`  // stable code of a failure
	Detail        string          `json:"detail,omitempty"`  // the library's text, for the audit trail only
	Browser       string          `json:"browser,omitempty"` // name of the browser's own error, such as NotAllowedError, when the browser did not answer: nobody answered wrongly then
	Tries         int             `json:"tries,omitempty"`   // ceremonies answered wrongly so far
	Digest        string          `json:"digest,omitempty"`  // base64url challenge: SHA-256 over the nonce and the digest of what it commits to
	Shown         bool            `json:"shown,omitempty"`   // our page displayed the text
	Receipt       json.RawMessage `json:"receipt,omitempty"` // on success: the bytes that prove it
}

// AuthenticatorAdded is a new authenticator of a user.
type AuthenticatorAdded struct {
	ActionID
	Authenticator AuthenticatorID `json:"authenticator"`
	Method        Method          `json:"method"`
	AAGUID        string          `json:"aaguid,omitempty"`
	Synced        bool            `json:"synced"` // backup eligible: the passkey can leave its device
	By            string          `json:"by"`
}

// AuthenticatorChanged is a change of what a user or the backend may say about an
// authenticator, such as its name.
type AuthenticatorChanged struct {
	ActionID
	Authenticator AuthenticatorID `json:"authenticator"`
	Method        Method          `json:"method"`
	Fields        []string        `json:"fields"` // names of what changed: name, default
	By            string          `json:"by"`
}

// AuthenticatorRemoved is an authenticator that was taken from a user.
type AuthenticatorRemoved struct {
	ActionID
	Authenticator AuthenticatorID `json:"authenticator"`
	Method        Method          `json:"method"`
	By            string          `json:"by"`
}

// RecoveryCodesRenewed is a new list of recovery codes of a user. Those of the list
// before are worth nothing from then on.
type RecoveryCodesRenewed struct {
	ActionID
	Count int    `json:"count"` // of the codes in the new list
	By    string `json:"by"`
}

// UserUpdated is a change of a user's attributes. Values are personal fields.
type UserUpdated struct {
	ActionID
	Fields []string `json:"fields"` // names of the changed attributes
	By     string   `json:"by"`
}

// UserDeleted is the end of a user.
type UserDeleted struct {
	ActionID
	By string `json:"by"`
}

// RuleSetPublished is a new current rule set.
type RuleSetPublished struct {
	ActionID
	Set    int    `json:"set"`
	Author string `json:"author"`
	Note   string `json:"note,omitempty"`
	SHA256 string `json:"sha256"`          // of the set's canonical bytes, hexadecimal
	Draft  string `json:"draft,omitempty"` // that it was published from
}

// DraftChanged is a step in the life of a draft of a rule set. Step is one of the
// three draft kinds.
type DraftChanged struct {
	Step Kind `json:"-"`
	ActionID
	Draft    string `json:"draft"`
	Revision int    `json:"revision"`       // the draft's, from 1
	Base     int    `json:"base,omitempty"` // number of the set that it began as
	By       string `json:"by"`
	SHA256   string `json:"sha256,omitempty"` // of the definition's canonical bytes, hexadecimal
}

// ListChanged is a change of a list: of its items, of itself, or its end. A rule
// that adds an item is part of its decision's event instead.
type ListChanged struct {
	ActionID
	List    string `json:"list"`
	Version int64  `json:"version"` // number of the change, over all lists
	Type    string `json:"type,omitempty"`
	Added   int    `json:"added,omitempty"`
	Removed int    `json:"removed,omitempty"`
	Deleted bool   `json:"deleted,omitempty"` // the list is gone
	By      string `json:"by"`
	Note    string `json:"note,omitempty"`
}

// OperatorChanged is a step in the life of a console account. Step is one of
// the three operator kinds.
type OperatorChanged struct {
	Step Kind `json:"-"`
	ActionID
	Operator string `json:"operator,omitempty"`
	Role     string `json:"role,omitempty"`
	By       string `json:"by"`
}

// LogRecovered says that an operator accepted the loss of events.
type LogRecovered struct {
	ActionID
	OldEpoch Epoch  `json:"oldEpoch"`
	LogHead  uint64 `json:"logHead"`  // last seq the log had
	SeenHead uint64 `json:"seenHead"` // last seq another part had seen
}

// Of returns the action itself; every record embeds it.
func (id ActionID) Of() ActionID { return id }

// Kind implements Record.
func (ActionTracked) Kind() Kind        { return KindActionTracked }
func (ActionUpdated) Kind() Kind        { return KindActionUpdated }
func (c Ceremony) Kind() Kind           { return c.Step }
func (AuthenticatorAdded) Kind() Kind   { return KindAuthenticatorAdded }
func (AuthenticatorChanged) Kind() Kind { return KindAuthenticatorChanged }
func (AuthenticatorRemoved) Kind() Kind { return KindAuthenticatorRemoved }
func (RecoveryCodesRenewed) Kind() Kind { return KindRecoveryCodesRenewed }
func (UserUpdated) Kind() Kind          { return KindUserUpdated }
func (UserDeleted) Kind() Kind          { return KindUserDeleted }
func (RuleSetPublished) Kind() Kind     { return KindRuleSetPublished }
func (d DraftChanged) Kind() Kind       { return d.Step }
func (ListChanged) Kind() Kind          { return KindListChanged }
func (o OperatorChanged) Kind() Kind    { return o.Step }
func (LogRecovered) Kind() Kind         { return KindLogRecovered }

// After implements Record.
func (r ActionTracked) After() ActionState { return r.State }
func (r ActionUpdated) After() ActionState { return r.State }
func (c Ceremony) After() ActionState      { return c.State }
func (ActionID) After() ActionState        { return "" }

// Decode reads the body of an event back into its record. The record is a
// pointer, such as *ActionTracked, and has the event's kind.
func (d Draft) Decode() (Record, error) {
	var record Record
	switch d.Kind {
	case KindActionTracked:
		record = &ActionTracked{}
	case KindActionUpdated:
		record = &ActionUpdated{}
	case KindCeremonyBegun, KindCeremonySucceeded, KindCeremonyFailed, KindCeremonyDenied, KindCeremonyAbandoned:
		record = &Ceremony{Step: d.Kind}
	case KindAuthenticatorAdded:
		record = &AuthenticatorAdded{}
	case KindAuthenticatorChanged:
		record = &AuthenticatorChanged{}
	case KindAuthenticatorRemoved:
		record = &AuthenticatorRemoved{}
	case KindRecoveryCodesRenewed:
		record = &RecoveryCodesRenewed{}
	case KindUserUpdated:
		record = &UserUpdated{}
	case KindUserDeleted:
		record = &UserDeleted{}
	case KindRuleSetPublished:
		record = &RuleSetPublished{}
	case KindDraftSaved, KindDraftApproved, KindDraftDeleted:
		record = &DraftChanged{Step: d.Kind}
	case KindListChanged:
		record = &ListChanged{}
	case KindOperatorInvited, KindOperatorRegistered, KindOperatorSignedIn:
		record = &OperatorChanged{Step: d.Kind}
	case KindLogRecovered:
		record = &LogRecovered{}
	default:
		return nil, fmt.Errorf("event kind %q is not known to this build", d.Kind)
	}
	if err := json.Unmarshal(d.Body, record); err != nil {
		return nil, fmt.Errorf("read body of %s: %w", d.Kind, err)
	}
	return record, nil
}
