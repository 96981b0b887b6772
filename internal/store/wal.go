package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// DamageError means that the write-ahead log of the database holds commits that
// were acknowledged and can no longer be read. SQLite would drop them, and every
// commit behind them, without a word.
type DamageError struct {
	File   string
	Offset int64  // of the first bad frame, bytes
	What   string // what is wrong there
}

// Error says what was found and what can be done.
func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s. Commits that were acknowledged would be lost by opening it. "+
		"Restore the data folder from a backup, or accept the loss with \"sallyport recover\"", e.File, e.Offset, e.What)
}

// Sizes in a write-ahead log, bytes (SQLite file format, section 4.1).
const (
	walHeader      = 32
	walFrameHeader = 24
)

// scanWAL looks for damage in a write-ahead log that SQLite has not opened yet.
// Page checksums do not cover it, and SQLite takes the first frame that does not
// check for the torn end of the last transaction.
//
// With synchronous=FULL a transaction is on disk before the next one is written.
// A bad frame is therefore torn only when its transaction is the last: when a
// commit frame at or behind it is followed by a frame of yet another
// transaction, the bad frame had been on disk whole, and it is damage. Frames of
// earlier rounds through the file carry other salts and do not count.
//
// What it cannot tell from a torn end is damage within the very last
// transaction; comparing the log's head with stream and archive finds that.
func scanWAL(name string) error {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open write-ahead log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("read write-ahead log: %w", err)
	}
	if info.Size() < walHeader+walFrameHeader {
		return nil
	}

	head := make([]byte, walHeader+walFrameHeader)
	if _, err := io.ReadFull(f, head); err != nil {
		return fmt.Errorf("read write-ahead log: %w", err)
	}
	header, firstFrame := head[:walHeader], head[walHeader:]
	sum, order, good := checkHeader(header)
	if !good {
		// The header is on disk before any frame is written. A torn one is followed
		// by frames of the round before, which have both salts different.
		if string(header[16:20]) == string(firstFrame[8:12]) || string(header[20:24]) == string(firstFrame[12:16]) {
			return &DamageError{File: name, What: "its header does not check, the frames behind it belong to it"}
		}
		return nil
	}

	if _, err := f.Seek(walHeader, io.SeekStart); err != nil {
		return fmt.Errorf("read write-ahead log: %w", err)
	}
	size := int64(binary.BigEndian.Uint32(header[8:]))
	if size == 1 {
		size = 65536
	}
	frame := make([]byte, walFrameHeader+size)
	bad, committed := int64(-1), false // offset of the first bad frame; a commit frame was seen from there on
	for at := int64(walHeader); ; at += int64(len(frame)) {
		if _, err := io.ReadFull(f, frame); err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read write-ahead log: %w", err)
		}
		current := string(frame[8:16]) == string(header[16:24])
		if bad < 0 {
			sum = walSum(order, sum, frame[:8])
			sum = walSum(order, sum, frame[walFrameHeader:])
			if current && sum == frameSum(frame) {
				continue
			}
			bad = at
		} else if current && committed {
			return &DamageError{File: name, Offset: bad, What: "a frame does not check and whole transactions follow it"}
		}
		if current {
			committed = binary.BigEndian.Uint32(frame[4:]) != 0
		}
	}
}

// checkHeader returns the header's checksum, which the first frame's continues,
// the byte order of checksums, and whether it checks.
func checkHeader(header []byte) ([2]uint32, binary.ByteOrder, bool) {
	var order binary.ByteOrder = binary.LittleEndian
	magic := binary.BigEndian.Uint32(header)
	if magic&1 == 1 {
		order = binary.BigEndian
	}
	sum := walSum(order, [2]uint32{}, header[:24])
	stored := [2]uint32{binary.BigEndian.Uint32(header[24:]), binary.BigEndian.Uint32(header[28:])}
	size := binary.BigEndian.Uint32(header[8:])
	good := magic&^1 == 0x377f0682 && sum == stored && size >= 1 && size <= 65536 && size&(size-1) == 0
	return sum, order, good
}

func frameSum(frame []byte) [2]uint32 {
	return [2]uint32{binary.BigEndian.Uint32(frame[16:]), binary.BigEndian.Uint32(frame[20:])}
}

// walSum continues the checksum of a write-ahead log over data, whose length is
// a multiple of eight (SQLite file format, section 4.2).
func walSum(order binary.ByteOrder, sum [2]uint32, data []byte) [2]uint32 {
	for ; len(data) >= 8; data = data[8:] {
		sum[0] += order.Uint32(data) + sum[1]
		sum[1] += order.Uint32(data[4:]) + sum[0]
	}
	return sum
}
