package events

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// UserID is the application's own name for a person. Sallyport treats it as a
// pseudonym and indexes by it, so applications should not use an e-mail address.
type UserID string

// AuthenticatorID names one registered authenticator of one user.
type AuthenticatorID string

// ChallengeID names one ceremony, begun and not yet answered or answered once.
type ChallengeID string

// ActionID is the identity of one tracked action: whose it is, what kind, and
// the idempotency key that tells two of the same kind apart.
type ActionID struct {
	User UserID `json:"user,omitempty"`
	Code string `json:"action,omitempty"`
	Key  string `json:"key,omitempty"`
}

// Epoch names one unbroken life of a log. A log that cannot prove that it
// continues an earlier one takes a new random epoch.
type Epoch uint64

// String is the epoch as 16 hexadecimal digits.
func (e Epoch) String() string { return fmt.Sprintf("%016x", uint64(e)) }

// Position names one event everywhere: in the log, in NATS and in the archive.
// Seq counts from 1 without gaps within an epoch.
type Position struct {
	Epoch Epoch
	Seq   uint64
}

// String is the position as "epoch-seq", the epoch in hexadecimal.
func (p Position) String() string {
	return p.Epoch.String() + "-" + strconv.FormatUint(p.Seq, 10)
}

// ErrPosition is returned by ParsePosition for text that is no position.
var ErrPosition = errors.New("a position is 16 hexadecimal digits, a dash and a number")

// ParsePosition reads what Position.String writes.
func ParsePosition(text string) (Position, error) {
	epoch, seq, found := strings.Cut(text, "-")
	raw, err := hex.DecodeString(epoch)
	if !found || err != nil || len(raw) != 8 {
		return Position{}, ErrPosition
	}
	n, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return Position{}, ErrPosition
	}
	var e uint64
	for _, b := range raw {
		e = e<<8 | uint64(b)
	}
	return Position{Epoch: Epoch(e), Seq: n}, nil
}
