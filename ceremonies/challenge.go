package ceremonies

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/sallyport/sallyport/events"
)

// begin stores a challenge and its event. The event of one that is begun for nobody
// stays out of the trail.
func (rp *RelyingParty) begin(ctx context.Context, challenge Challenge) error {
	event, err := events.NewDraft(challenge.record(events.KindCeremonyBegun), nil, challenge.BegunAt)
	if err != nil {
		return err
	}
	if err := rp.store.Begin(ctx, challenge, event); err != nil {
		return fmt.Errorf("begin ceremony: %w", refusal(err))
	}
	return nil
}

// errEarlierLife is why an action is closed although its state is open or proven.
var errEarlierLife = errors.New("the action is of an earlier life of this user")

// lasting is a context that outlives the caller's, so that a challenge which was
// taken is also finished, and ends by itself.
func lasting(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTime)
}

// take claims a challenge, before anything of the answer is verified.
func (rp *RelyingParty) take(ctx context.Context, grant Grant, id events.ChallengeID) (Challenge, error) {
	if len(id) != len(randomName(make([]byte, idBytes))) {
		return Challenge{}, refuse(CodeInvalidRequest, ReasonChallengeUnknown, nil)
	}
	challenge, err := rp.store.Take(ctx, id, grant.Action, rp.now())
	if err != nil {
		return Challenge{}, fmt.Errorf("take challenge: %w", refusal(err))
	}
	return challenge, nil
}

// fail closes a taken challenge with a refusal and returns the refusal. A wrong
// proof counts against the action; a wrong registration does not.
func (rp *RelyingParty) fail(ctx context.Context, challenge Challenge, client Client, refused *RefusedError) error {
	tries := rp.tries
	if challenge.Purpose != ForAction || refused.Reason == ReasonBrowser {
		tries = math.MaxInt32
	}
	now := rp.now()
	action := challenge.Action
	if action.User == "" {
		action.User = refused.user
	}
	result, err := rp.store.Finish(ctx, Outcome{
		Challenge: challenge, Action: action, Tries: tries, Regressed: refused.regressed, At: now,
		Counted: refused.counted, Reopen: refused.counted && challenge.Most > 1, Uncounted: refused.Reason == ReasonBrowser,
		Events: func(state events.ActionState, tries int) ([]events.Draft, error) {
			record := challenge.record(events.KindCeremonyFailed)
			record.ActionID = action
			record.State, record.Tries = state, tries
			record.Reason, record.Detail, record.Browser = refused.Reason, detail(refused.Err), refused.browser
			draft, err := events.NewDraft(record, client.personal(), now)
			return []events.Draft{draft}, err
		},
	})
	if err != nil {
		return fmt.Errorf("record refused ceremony: %w", errors.Join(err, refused))
	}
	if challenge.Purpose == ForAction && result.State == events.StateChallengeFailed {
		refused.State = result.State
	}
	return refused
}

// record is the start of every event about a challenge. Digest is the challenge
// itself: blinded by the nonce, so that it tells nothing once that is erased.
func (c Challenge) record(step events.Kind) *events.Ceremony {
	return &events.Ceremony{
		Step: step, ActionID: c.Action, Challenge: c.ID, Ceremony: string(c.Kind), Purpose: string(c.Purpose),
		Method: c.Method, Digest: base64URL(challengeFor(c.Nonce, c.Digest)), Shown: c.Shown,
	}
}

// challenge freezes what a ceremony is about. Session is still empty.
func (rp *RelyingParty) challenge(kind Kind, method events.Method, action Action, about about, life time.Duration) (Challenge, error) {
	now := rp.now().UTC()
	// Whole seconds, because the statement says the end in whole seconds.
	expires := now.Add(life).Truncate(time.Second)
	statement, err := rp.statement(action, about, expires)
	if err != nil {
		return Challenge{}, err
	}
	document, err := statement.Canonical()
	if err != nil {
		return Challenge{}, err
	}
	id, nonce := make([]byte, idBytes), make([]byte, nonceBytes)
	for _, b := range [][]byte{id, nonce} {
		if _, err := io.ReadFull(rp.random, b); err != nil {
			return Challenge{}, fmt.Errorf("read random bytes: %w", err)
		}
	}
	c := Challenge{
		ID: events.ChallengeID(randomName(id)), Kind: kind, Purpose: about.purpose, Method: method, Subject: about.subject,
		Action: action.ActionID, Most: 1,
		Nonce: nonce, Digest: document, Shown: about.shown != nil, BegunAt: now, Expires: expires,
	}
	if method == events.MethodPasskey || method == events.MethodSecurityKey {
		c.Value = challengeFor(nonce, document)
	}
	return c, nil
}

// randomName writes random bytes so that people can read them out: a support
// call starts with the first characters of a challenge's id.
func randomName(b []byte) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)
}

// session keeps the library's session verbatim.
func session(data *webauthn.SessionData) (json.RawMessage, error) {
	raw, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("write session: %w", err)
	}
	return raw, nil
}

// readSession gives the library back its own session.
func (c Challenge) readSession() (webauthn.SessionData, error) {
	var data webauthn.SessionData
	if err := json.Unmarshal(c.Session, &data); err != nil {
		return webauthn.SessionData{}, fmt.Errorf("read session: %w", err)
	}
	return data, nil
}
