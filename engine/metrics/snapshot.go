package metrics

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// A snapshot is a file of numbers in little-endian order: magic, position, hash of
// the event there, the secret that keys are made with, the gauges, the keys of each kind with their cells, the actions
// that wait for the end of their challenges; at last the SHA-256 of all before. It
// holds hashes of values of people, and counts, but no values.
const snapshotMagic = "sallyport metrics 2\n"

// half ends the name of a snapshot while it is being written.
const half = ".*.new"

// errDamaged means that a snapshot cannot be read.
var errDamaged = errors.New("it is damaged")

// picture is a board at one position, to be written while the board goes on.
type picture struct {
	position          events.Position
	leaf              [sha256.Size]byte
	horizon           int64
	lost, lostResults int64
	chunks            [][]cell
	tables            []tablePicture
	waiting           []challenged
	results           []result
}

type tablePicture struct {
	entries [][]entry
	used    uint32
	keys    int
}

// freeze takes a picture. Until thaw, whoever changes a chunk copies it first.
func (b *board) freeze() *picture {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &picture{position: b.position, horizon: b.horizon.Unix(), lost: b.lost, lostResults: b.lostResults, leaf: b.leaf}
	if b.last.Seq != 0 {
		p.leaf = b.last.Leaf()
	}
	if b.horizon.IsZero() {
		p.horizon = 0
	}
	p.chunks = slices.Clone(b.arena.chunks)
	freezeAll(b.arena.frozen, true)
	for _, t := range b.tables {
		freezeAll(t.frozen, true)
		p.tables = append(p.tables, tablePicture{slices.Clone(t.entries), t.used, t.keys})
	}
	p.waiting = slices.Clone(b.waiting.actions.items[b.waiting.actions.head:])
	p.results = slices.Clone(b.waiting.results.items[b.waiting.results.head:])
	return p
}

func (b *board) thaw() {
	b.mu.Lock()
	defer b.mu.Unlock()
	freezeAll(b.arena.frozen, false)
	for _, t := range b.tables {
		freezeAll(t.frozen, false)
	}
}

func freezeAll(chunks []bool, frozen bool) {
	for i := range chunks {
		chunks[i] = frozen
	}
}

// write puts a snapshot in the place of the file at path, in one step.
func (b *board) write(path string) (events.Position, error) {
	p := b.freeze()
	defer b.thaw()
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+half)
	if err != nil {
		return p.position, err
	}
	defer os.Remove(file.Name()) // there is none once it was renamed
	err = p.encode(file, b.layout)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return p.position, err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return p.position, err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return p.position, err
	}
	return p.position, errors.Join(folder.Sync(), folder.Close())
}

// encoder writes numbers and hashes what it wrote.
type encoder struct {
	out *bufio.Writer
	sum hash.Hash
	buf []byte
}

func (e *encoder) u8(v uint8)   { e.buf = append(e.buf, v) }
func (e *encoder) u16(v uint16) { e.buf = binary.LittleEndian.AppendUint16(e.buf, v) }
func (e *encoder) u32(v uint32) { e.buf = binary.LittleEndian.AppendUint32(e.buf, v) }
func (e *encoder) u64(v uint64) { e.buf = binary.LittleEndian.AppendUint64(e.buf, v) }

// flush hands over what was written when it is much, or when all must go.
func (e *encoder) flush(all bool) error {
	if len(e.buf) < 1<<16 && !all {
		return nil
	}
	e.sum.Write(e.buf)
	_, err := e.out.Write(e.buf)
	e.buf = e.buf[:0]
	return err
}

func (p *picture) encode(to io.Writer, l *layout) error {
	e := &encoder{out: bufio.NewWriterSize(to, 1<<20), sum: sha256.New()}
	e.buf = append(e.buf, snapshotMagic...)
	e.u64(uint64(p.position.Epoch))
	e.u64(p.position.Seq)
	e.buf = append(e.buf, p.leaf[:]...)
	e.buf = append(e.buf, l.secret[:]...)
	e.u64(uint64(p.horizon))
	e.u64(uint64(p.lost))
	e.u64(uint64(p.lostResults))
	e.u16(uint16(len(l.gauges)))
	for i := range l.gauges {
		g := &l.gauges[i]
		e.u8(uint8(len(g.meter.ID())))
		e.buf = append(e.buf, g.meter.ID()...)
		e.u16(uint16(g.kind))
		e.u8(g.slot)
	}
	e.u16(uint16(len(p.tables)))
	for i := range p.tables {
		if err := p.encodeTable(e, &p.tables[i]); err != nil {
			return err
		}
	}
	e.u32(uint32(len(p.waiting)))
	next := 0
	for _, c := range p.waiting {
		e.u64(c.action[0])
		e.u64(c.action[1])
		e.u64(uint64(c.at))
		e.u16(uint16(c.n))
		for _, r := range p.results[next : next+c.n] {
			e.u16(uint16(r.gauge))
			e.u8(r.when)
			e.u64(r.key[0])
			e.u64(r.key[1])
			e.u64(r.value)
		}
		next += c.n
		if err := e.flush(false); err != nil {
			return err
		}
	}
	if err := e.flush(true); err != nil {
		return err
	}
	if _, err := e.out.Write(e.sum.Sum(nil)); err != nil {
		return err
	}
	return e.out.Flush()
}

func (p *picture) encodeTable(e *encoder, t *tablePicture) error {
	e.u64(uint64(t.keys))
	for number := range t.used {
		entry := &t.entries[number>>entriesBits][number&(chunkEntries-1)]
		if entry.flags&inUse == 0 {
			continue
		}
		e.u64(entry.key[0])
		e.u64(entry.key[1])
		e.u32(entry.tick)
		e.u8(entry.flags)
		e.u16(entry.n)
		at := int(entry.block & (chunkCells - 1))
		for _, c := range p.chunks[entry.block>>chunkBits][at : at+int(entry.n)] {
			e.u64(c.head)
			e.u64(c.value)
		}
		if err := e.flush(false); err != nil {
			return err
		}
	}
	return nil
}

// decoder reads numbers. After a failure it reads zeros.
type decoder struct {
	in  *bufio.Reader
	sum hash.Hash
	err error
	buf [64]byte
}

func (d *decoder) bytes(n int) []byte {
	b := d.buf[:n]
	if d.err != nil {
		clear(b)
		return b
	}
	if _, err := io.ReadFull(d.in, b); err != nil {
		d.err = errDamaged
		clear(b)
		return b
	}
	d.sum.Write(b)
	return b
}

func (d *decoder) u8() uint8   { return d.bytes(1)[0] }
func (d *decoder) u16() uint16 { return binary.LittleEndian.Uint16(d.bytes(2)) }
func (d *decoder) u32() uint32 { return binary.LittleEndian.Uint32(d.bytes(4)) }
func (d *decoder) u64() uint64 { return binary.LittleEndian.Uint64(d.bytes(8)) }

func (d *decoder) check(ok bool) {
	if d.err == nil && !ok {
		d.err = errDamaged
	}
}

// load reads a snapshot. The board has those of the meters that the snapshot
// has. It is nil, without an error, when there is no file.
func load(path string, meters []*rules.Meter, limit int64) (*board, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close() // it was only read
	d := &decoder{in: bufio.NewReaderSize(file, 1<<20), sum: sha256.New()}
	d.check(bytes.Equal(d.bytes(len(snapshotMagic)), []byte(snapshotMagic)))
	b, err := d.board(meters, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

// places says where a snapshot's slots go: for each kind and slot, the gauge's
// new kind and slot, or -1 for a gauge that is wanted no more.
type places struct {
	kind  []int // by old kind; -1 when nothing of it is wanted
	slots [][256]int16
	gauge []int // by old gauge; -1 likewise
}

func (d *decoder) board(meters []*rules.Meter, limit int64) (*board, error) {
	position := events.Position{Epoch: events.Epoch(d.u64()), Seq: d.u64()}
	var leaf [sha256.Size]byte
	copy(leaf[:], d.bytes(len(leaf)))
	var secret [32]byte
	copy(secret[:], d.bytes(len(secret)))
	horizon, lost, lostResults := int64(d.u64()), int64(d.u64()), int64(d.u64())
	type stored struct {
		id   string
		kind int
		slot uint8
	}
	gauges := make([]stored, d.u16())
	for i := range gauges {
		n := int(d.u8())
		d.check(n <= len(d.buf))
		if d.err != nil {
			return nil, d.err
		}
		gauges[i].id = string(d.bytes(n))
		gauges[i].kind, gauges[i].slot = int(d.u16()), d.u8()
	}
	kinds := int(d.u16())
	if d.err != nil {
		return nil, d.err
	}
	has := map[string]bool{}
	for _, g := range gauges {
		has[g.id] = true
	}
	l := newLayout(slices.DeleteFunc(slices.Clone(meters), func(m *rules.Meter) bool { return !has[m.ID()] }))
	l.secret = secret
	b := newBoard(l, limit)
	b.position, b.leaf, b.lost, b.lostResults = position, leaf, lost, lostResults
	if horizon != 0 {
		b.horizon = time.Unix(horizon, 0)
	}
	b.setOldest()
	p := places{kind: make([]int, kinds), slots: make([][256]int16, kinds), gauge: make([]int, len(gauges))}
	for i := range p.kind {
		p.kind[i] = -1
		for slot := range p.slots[i] {
			p.slots[i][slot] = -1
		}
	}
	for i, g := range gauges {
		p.gauge[i] = -1
		d.check(g.kind < kinds)
		at, wanted := l.byID[g.id]
		if !wanted || d.err != nil {
			continue
		}
		to := &l.gauges[at]
		d.check(p.kind[g.kind] == -1 || p.kind[g.kind] == to.kind)
		d.check(int(g.slot)+int(to.slots()) <= 256)
		if d.err != nil {
			break
		}
		p.kind[g.kind], p.gauge[i] = to.kind, at
		for n := range int(to.slots()) {
			p.slots[g.kind][int(g.slot)+n] = int16(int(to.slot) + n)
		}
	}
	for kind := range kinds {
		d.table(b, &p, kind)
	}
	d.pending(b, &p)
	sum := d.sum.Sum(nil)
	if d.err == nil {
		d.check(bytes.Equal(d.bytes(len(sum)), sum))
	}
	if d.err != nil {
		return nil, d.err
	}
	return b, nil
}

func (d *decoder) table(b *board, p *places, kind int) {
	for range d.u64() {
		k := key{d.u64(), d.u64()}
		tick, flags, n := d.u32(), d.u8(), int(d.u16())
		if d.err != nil {
			return
		}
		cells := make([]cell, 0, min(n, 64))
		for range n {
			c := cell{d.u64(), d.u64()}
			slot := p.slots[kind][c.slot()]
			if slot >= 0 {
				c.head = headOf(uint8(slot), c.tick(), c.step())
				cells = append(cells, c)
			}
		}
		if d.err != nil || p.kind[kind] < 0 || len(cells) == 0 {
			continue
		}
		if !b.tables[p.kind[kind]].load(k, tick, flags, cells) {
			d.err = errors.New("there is not enough memory for it")
		}
	}
}

// load puts a key with its cells into the table.
func (t *table) load(k key, tick uint32, flags uint8, cells []cell) bool {
	if _, twice := t.find(k); twice {
		return false
	}
	number, ok := t.insert(k, flags&partial, classOf(len(cells)))
	if !ok {
		return false
	}
	e := t.ownEntry(number)
	e.tick = tick
	copy(t.own(e.block, len(cells)), cells)
	e.n = uint16(len(cells))
	return true
}

func (d *decoder) pending(b *board, p *places) {
	for range d.u32() {
		c := challenged{action: key{d.u64(), d.u64()}, at: int64(d.u64())}
		var results []result
		for range d.u16() {
			gauge := int(d.u16())
			r := result{when: d.u8(), addition: addition{key: key{d.u64(), d.u64()}, value: d.u64()}}
			d.check(gauge < len(p.gauge))
			if d.err != nil {
				return
			}
			if r.gauge = p.gauge[gauge]; r.gauge >= 0 {
				results = append(results, r)
			}
		}
		if d.err != nil {
			return
		}
		if len(results) > 0 {
			b.waiting.put(c.action, time.UnixMicro(c.at), results)
		}
	}
}
