package ceremonies

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/events"
)

// Occasion is why somebody gets a mail.
type Occasion string

// The occasions of mails.
const (
	// MailCode carries a one-time code that was asked for.
	MailCode Occasion = "code"
	// MailAdded and MailRemoved tell a person that a way to prove themselves came or
	// went; MailRecoveryCodes, that new recovery codes replaced the old ones.
	MailAdded         Occasion = "authenticator.added"
	MailRemoved       Occasion = "authenticator.removed"
	MailRecoveryCodes Occasion = "recovery-codes.renewed"
)

// Mail is one message to a person. Its words are the Mailer's.
type Mail struct {
	Occasion Occasion
	To       string // one address
	Locale   string // as the application sent it, such as "de-CH"; "" when it sent none
	User     events.UserID
	Action   events.ActionID // that it belongs to; its Code and Key are empty when there is none
	Method   events.Method   // of the authenticator
	Name     string          // of the authenticator, such as "iCloud Keychain"; "" for codes
	Code     string          // MailCode only; never logged
	Purpose  Purpose         // MailCode only: what the code is good for
	Shown    string          // MailCode only: the text that the code approves, "" when there is none
	Expires  time.Time       // MailCode only
}

// Mailer sends mails. internal/mail has those that ship: SMTP, and a signed
// webhook for applications that send their mails themselves.
type Mailer interface {
	// Send returns once the next server has taken the mail over. An error means that
	// it may not arrive; its text holds neither address nor code.
	Send(ctx context.Context, mail Mail) error
}
