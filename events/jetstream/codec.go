package jetstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/sallyport/sallyport/events"
)

// codecVersion is the first byte of every message.
const codecVersion = 1

// overhead bounds what the codec adds to one event's own bytes: ten numbers of
// at most ten bytes each.
const overhead = 100

// errMessage means that a message is not one that a relay wrote, or was changed
// on its way.
var errMessage = errors.New("the message is not a batch of events")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode writes a batch: version byte, epoch and first seq (8 bytes each, big
// endian), number of events; for each event time (microseconds since 1970),
// record version, and the texts kind, user, action, key, state, body, personal
// values, salt, each after its length plus one (0 stands for nil); at the end
// CRC-32C of all before. The events are neighbours in one epoch.
func encode(batch []events.Event) []byte {
	size := 32
	for _, e := range batch {
		size += weight(e)
	}
	b := make([]byte, 0, size)
	b = append(b, codecVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(batch[0].Epoch))
	b = binary.BigEndian.AppendUint64(b, batch[0].Seq)
	b = binary.AppendUvarint(b, uint64(len(batch)))
	for _, e := range batch {
		b = binary.AppendVarint(b, e.Time.UnixMicro())
		b = binary.AppendUvarint(b, uint64(e.Version))
		b = appendText(b, string(e.Kind))
		b = appendText(b, string(e.Action.User))
		b = appendText(b, e.Action.Code)
		b = appendText(b, e.Action.Key)
		b = appendText(b, string(e.State))
		b = appendBytes(b, e.Body)
		b = appendBytes(b, e.Personal)
		b = appendBytes(b, e.Salt)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// weight bounds the bytes that an event takes in a message.
func weight(e events.Event) int {
	return overhead + len(e.Kind) + len(e.Action.User) + len(e.Action.Code) + len(e.Action.Key) + len(e.State) +
		len(e.Body) + len(e.Personal) + len(e.Salt)
}

func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(text))+1)
	return append(b, text...)
}

func appendBytes(b, bytes []byte) []byte {
	if bytes == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(bytes))+1)
	return append(b, bytes...)
}

// decode reads what encode wrote. The events share data's memory.
func decode(data []byte) ([]events.Event, error) {
	if len(data) < 22 || data[0] != codecVersion {
		return nil, fmt.Errorf("%w of version %d", errMessage, codecVersion)
	}
	body, sum := data[:len(data)-4], binary.BigEndian.Uint32(data[len(data)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("%w: its checksum is wrong", errMessage)
	}
	epoch, seq := events.Epoch(binary.BigEndian.Uint64(body[1:])), binary.BigEndian.Uint64(body[9:])
	r := reader{rest: body[17:]}
	n := r.uvarint()
	if n > uint64(len(r.rest)) { // an event takes ten bytes at least
		return nil, errMessage
	}
	batch := make([]events.Event, n)
	for i := range batch {
		e := &batch[i]
		e.Position = events.Position{Epoch: epoch, Seq: seq + uint64(i)}
		e.Time = time.UnixMicro(r.varint()).UTC()
		e.Version = int(r.uvarint())
		e.Kind = kinds.of(r.bytes())
		e.Action.User = events.UserID(r.bytes())
		e.Action.Code = string(r.bytes())
		e.Action.Key = string(r.bytes())
		e.State = states.of(r.bytes())
		e.Body = r.bytes()
		e.Personal = r.bytes()
		e.Salt = r.bytes()
	}
	if r.failed || len(r.rest) > 0 {
		return nil, errMessage
	}
	return batch, nil
}

// reader takes values from the front of a message. After a failure every value
// is zero.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n == 0 {
		return nil
	}
	if n--; n > uint64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// words gives back one string for the few words that nearly every event has, so
// that decoding allocates none for them.
type words[T ~string] map[string]T

func (w words[T]) of(text []byte) T {
	if known, ok := w[string(text)]; ok { // does not allocate
		return known
	}
	return T(text)
}

func wordsOf[T ~string](list ...T) words[T] {
	w := words[T]{}
	for _, word := range list {
		w[string(word)] = word
	}
	return w
}

var (
	kinds = wordsOf(events.KindActionTracked, events.KindActionUpdated, events.KindCeremonyBegun,
		events.KindCeremonySucceeded, events.KindCeremonyFailed)
	states = wordsOf(events.StateAllow, events.StateBlock, events.StateChallengeRequired,
		events.StateChallengeSucceeded, events.StateReviewRequired, "")
)

// hollow is an event that is too large for a message: it travels without its
// bytes, and its Body is nil.
func hollow(e events.Event) events.Event {
	e.Body, e.Personal, e.Salt = nil, nil, nil
	return e
}

// cut splits events into runs that one message can carry: neighbours in one
// epoch, at most count of them and at most size bytes. An event larger than
// that becomes hollow. The list itself, which belongs to the log, stays as it
// is.
func cut(list []events.Event, count, size int) [][]events.Event {
	for i, e := range list {
		if weight(e) > size {
			list = slices.Clone(list)
			for j := i; j < len(list); j++ {
				if weight(list[j]) > size {
					list[j] = hollow(list[j])
				}
			}
			break
		}
	}
	var runs [][]events.Event
	from, bytes := 0, 0
	for i := range list {
		w := weight(list[i])
		if i > from && (i-from == count || bytes+w > size || !follows(list[i-1], list[i])) {
			runs = append(runs, list[from:i])
			from, bytes = i, 0
		}
		bytes += w
	}
	if from < len(list) {
		runs = append(runs, list[from:])
	}
	return runs
}

func follows(a, b events.Event) bool { return a.Epoch == b.Epoch && a.Seq+1 == b.Seq }

// messageID names a run for NATS's own deduplication.
func messageID(run []events.Event) string {
	first, last := run[0], run[len(run)-1]
	return fmt.Sprintf("%s-%d-%d", first.Epoch, first.Seq, last.Seq)
}
