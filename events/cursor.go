package events

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// ErrCursor means that a cursor was not written by this software.
var ErrCursor = errors.New("the cursor is not one that an earlier page returned")

// CursorAt is the cursor behind the event at p that happened at t.
func CursorAt(t time.Time, p Position) Cursor {
	var b [24]byte
	binary.BigEndian.PutUint64(b[0:], uint64(t.UnixMicro()))
	binary.BigEndian.PutUint64(b[8:], uint64(p.Epoch))
	binary.BigEndian.PutUint64(b[16:], p.Seq)
	return Cursor(base64.RawURLEncoding.EncodeToString(b[:]))
}

// Split reads a cursor. The zero time stands for the first page.
func (c Cursor) Split() (time.Time, Position, error) {
	if c == "" {
		return time.Time{}, Position{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(string(c))
	if err != nil || len(b) != 24 || len(c) != 32 { // the decoder skips line ends
		return time.Time{}, Position{}, ErrCursor
	}
	t := time.UnixMicro(int64(binary.BigEndian.Uint64(b[0:]))).UTC()
	return t, Position{Epoch: Epoch(binary.BigEndian.Uint64(b[8:])), Seq: binary.BigEndian.Uint64(b[16:])}, nil
}
