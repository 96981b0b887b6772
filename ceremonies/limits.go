package ceremonies

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/sallyport/sallyport/events"
)

// Limits bound guessing and sending. Answers are counted before they are checked,
// so that many at once are no more than one after another. What counts is wrong
// codes: a right one begins a user's count anew, and counts for no address.
type Limits struct {
	// Wrong is how many codes of one user may be wrong within Window, of all methods
	// and actions together, before the user's codes are locked for Lock. A lock that
	// follows within Window is twice as long, up to MaxLock. Passkeys go on. Window
	// must be long: who stays below Wrong guesses that often in every one of them.
	Wrong  int
	Window time.Duration
	Lock   time.Duration
	// WrongPerAddress is the same for one address (an IPv4 address or an IPv6 /64),
	// within AddressWindow: a right code does not begin it anew.
	WrongPerAddress int
	AddressWindow   time.Duration
	// Sent is how many codes may be sent to one user within SendWindow, and as many to
	// one address of mail, whoever asks; to the people behind one network SentPerAddress;
	// and to one address of mail SentPerDay.
	Sent, SentPerAddress, SentPerDay int
	SendWindow                       time.Duration
}

// recoveryFactor is how many times as many recovery codes may be wrong as others. 80
// bits need no guard against guessing; what is bounded is the work. So nobody who
// holds a session can keep a person from the way back in.
const recoveryFactor = 100

// DefaultLimits leave 70 guesses on the first day and 20 on each that follows. An app
// has three right codes of six digits at a time: that is one chance in about 5,000,
// and one in 16,000.
var DefaultLimits = Limits{
	Wrong: 10, Window: 24 * time.Hour, Lock: 15 * time.Minute,
	WrongPerAddress: 100, AddressWindow: 15 * time.Minute,
	Sent: 6, SentPerAddress: 60, SentPerDay: 50, SendWindow: 10 * time.Minute,
}

func (l Limits) check() error {
	if l.Wrong < 1 || l.Window <= 0 || l.Lock <= 0 || l.WrongPerAddress < 1 || l.AddressWindow <= 0 || l.Sent < 1 || l.SentPerAddress < 1 || l.SentPerDay < 1 || l.SendWindow <= 0 {
		return errors.New("relying party: every limit must be at least 1, and every time positive")
	}
	return nil
}

// guessing are the meters of an answer by a method. A right one begins the user's
// anew. Behind an address may be others, whose guesses must not be forgiven.
// Recovery codes have meters of their own: wrong codes of another kind do not lock
// them.
func (rp *RelyingParty) guessing(user events.UserID, method events.Method, client Client) []Meter {
	l, kind, factor := rp.limits, "wrong", 1
	if method == events.MethodRecoveryCode {
		kind, factor = "recovery", recoveryFactor
	}
	meters := []Meter{{Name: kind + ":user:" + string(user), Most: factor * l.Wrong, Window: l.Window, Lock: l.Lock, Flat: factor > 1}}
	if name := rp.addressName(client.Address); name != "" {
		meters = append(meters, Meter{
			Name: kind + ":address:" + name, Most: factor * l.WrongPerAddress, Window: l.AddressWindow, Lock: l.Lock, Flat: true, Shared: true,
		})
	}
	return meters
}

// sending are the meters of a code that is sent to an address of mail, for a user
// or for nobody yet.
func (rp *RelyingParty) sending(user events.UserID, to string, client Client) []Meter {
	l := rp.limits
	mail := rp.mailName(to)
	meters := []Meter{
		{Name: "sent:mail:" + mail, Most: l.Sent, Window: l.SendWindow, Lock: l.SendWindow, Flat: true},
		{Name: "sent:day:" + mail, Most: l.SentPerDay, Window: 24 * time.Hour, Lock: 12 * time.Hour, Flat: true},
	}
	if user != "" {
		meters = append(meters, Meter{Name: "sent:user:" + string(user), Most: l.Sent, Window: l.SendWindow, Lock: l.SendWindow, Flat: true})
	}
	if name := rp.addressName(client.Address); name != "" {
		meters = append(meters, Meter{Name: "sent:address:" + name, Most: l.SentPerAddress, Window: l.SendWindow, Lock: l.SendWindow, Flat: true})
	}
	return meters
}

// addressName is a keyed hash of the network that one customer of a provider has
// at least, "" when the address is not known. The hash keeps addresses out of the
// database.
func (rp *RelyingParty) addressName(address netip.Addr) string {
	if !address.IsValid() {
		return ""
	}
	address = address.Unmap().WithZone("")
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	prefix, err := address.Prefix(bits)
	if err != nil {
		return "" // there is no such length
	}
	return base64URL(rp.vault.hash("address", prefix.String())[:16])
}

// count refuses what was sent too often.
func (rp *RelyingParty) count(ctx context.Context, meters []Meter) error {
	err := rp.store.CountIn(ctx, meters, rp.now())
	if err != nil {
		return refusal(err)
	}
	return nil
}
