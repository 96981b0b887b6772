package ceremonies

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/gowebpki/jcs"

	"github.com/sallyport/sallyport/events"
)

// StatementVersion is the version of the statement's members and of the bytes
// that a challenge is made of.
const StatementVersion = 1

// challengePrefix separates our challenges from any other use of the hash.
const challengePrefix = "sallyport/receipt/v1"

// nonceBytes is the length of the nonce in a challenge.
const nonceBytes = 32

// Statement is what a challenge commits to: which action, of whom, with which
// data, and which words our page showed. It is frozen when the ceremony begins.
type Statement struct {
	Version        int             `json:"v"`
	Purpose        Purpose         `json:"purpose"`
	Tenant         string          `json:"tenant"`
	RelyingParty   string          `json:"rpId"`
	User           events.UserID   `json:"userId"`
	Action         string          `json:"action"`
	IdempotencyKey string          `json:"idempotencyKey"`
	Data           json.RawMessage `json:"data"`     // the action's custom data, or null
	Template       string          `json:"template"` // id and version of the text: "payment@7", "" when there is none
	Locale         string          `json:"locale"`
	Shown          *string         `json:"shown"`   // the text our page displayed; null when an app's own page ran the ceremony
	Expires        string          `json:"expires"` // RFC 3339, UTC, whole seconds
}

// about is what a ceremony is to prove.
type about struct {
	purpose Purpose
	subject string  // what the proof is to change, "" when it changes nothing
	shown   *string // the text that our page displays; nil when an app's own page runs the ceremony
}

// aboutAction is a ceremony that completes an action. Shown says that our own page
// displays the action's text.
func aboutAction(action Action, shown bool) about {
	a := about{purpose: ForAction}
	if shown {
		text := action.Shown()
		a.shown = &text
	}
	return a
}

// statement freezes what a ceremony is about. That of a change says what it
// changes as its data, and has a template of its own, so that neither can be taken
// for the action's.
func (rp *RelyingParty) statement(action Action, about about, expires time.Time) (Statement, error) {
	s := Statement{
		Version: StatementVersion, Purpose: about.purpose, Tenant: rp.tenant, RelyingParty: rp.id,
		User: action.User, Action: action.Code, IdempotencyKey: action.Key,
		Data: action.Data, Template: action.PromptID, Locale: action.Locale, Shown: about.shown,
		Expires: expires.UTC().Format(time.RFC3339),
	}
	if about.purpose.changes() {
		data, err := json.Marshal(map[string]string{"subject": about.subject})
		if err != nil {
			return Statement{}, fmt.Errorf("write what is changed: %w", err)
		}
		s.Data, s.Template = data, string(about.purpose)+"@1"
	}
	return s, nil
}

// Shown is the text that a person approves, as a page must display it and as the
// statement holds it: the prompt without characters that could make it read
// differently from what it says. Those are control characters, which become
// spaces, and the ones that turn the writing direction around within the text
// (Unicode UAX 9, section 2).
func (a Action) Shown() string {
	return strings.TrimSpace(strings.Map(visible, a.Prompt))
}

// visible is a character as it may stand in a text that people approve.
func visible(r rune) rune {
	switch {
	case unicode.IsControl(r), r == 0x2028, r == 0x2029: // and the separators of lines and paragraphs
		return ' '
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200b, r == 0x2060, r == 0xfeff, r >= 0xe0000 && r <= 0xe007f:
		return -1 // what turns the direction, or cannot be seen at all
	}
	return r
}

// Canonical is the statement as canonical JSON (RFC 8785), so that the same
// statement always has the same bytes. Numbers in the data have the precision of
// IEEE 754 doubles, as in the rules; of a repeated member the last one counts,
// as in the rules.
func (s Statement) Canonical() ([]byte, error) {
	// Decoding first gives repeated members and unpaired surrogates the meaning
	// that the decision gave them. RFC 8785 itself would refuse them.
	var data any
	if len(s.Data) > 0 {
		if err := json.Unmarshal(s.Data, &data); err != nil {
			return nil, fmt.Errorf("read the action's data: %w", err)
		}
	}
	var err error
	if s.Data, err = json.Marshal(data); err != nil {
		return nil, fmt.Errorf("write the action's data: %w", err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write statement: %w", err)
	}
	canonical, err := jcs.Transform(text)
	if err != nil {
		return nil, fmt.Errorf("canonicalize statement: %w", err)
	}
	return canonical, nil
}

// challengeFor is SHA-256("sallyport/receipt/v1" || nonce || SHA-256(document)).
// Nonce and inner hash have fixed lengths, so the parts cannot run into each
// other. Without the nonce, nobody can guess a document and confirm the guess.
func challengeFor(nonce, document []byte) []byte {
	digest := sha256.Sum256(document)
	h := sha256.New()
	h.Write([]byte(challengePrefix))
	h.Write(nonce)
	h.Write(digest[:])
	return h.Sum(nil)
}
