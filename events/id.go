package events

import (
	"encoding/binary"
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

// MarshalText writes the epoch as String does: as a JSON number it would lose
// digits in every reader that keeps numbers as doubles.
func (e Epoch) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads what MarshalText writes; anything else is ErrPosition.
func (e *Epoch) UnmarshalText(text []byte) error {
	var raw [8]byte
	if len(text) != 16 {
		return ErrPosition
	}
	if _, err := hex.Decode(raw[:], text); err != nil {
		return ErrPosition
	}
	*e = Epoch(binary.BigEndian.Uint64(raw[:]))
	return nil
}

// ParsePosition reads what Position.String writes and nothing else: two texts
// never name one position.
func ParsePosition(text string) (Position, error) {
	epoch, seq, _ := strings.Cut(text, "-")
	var p Position
	if err := p.Epoch.UnmarshalText([]byte(epoch)); err != nil {
		return Position{}, err
	}
	var err error
	if p.Seq, err = strconv.ParseUint(seq, 10, 64); err != nil || p.String() != text {
		return Position{}, ErrPosition
	}
	return p, nil
}
