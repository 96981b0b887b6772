package metrics

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

const (
	// poll is how often the log is asked for events of other nodes.
	poll = 100 * time.Millisecond
	// batch is how many events are read at once.
	batch = 512
	// sweepEvery is how often memory is looked through for what has left every window.
	sweepEvery = time.Minute
	// reach is how far back in the log building begins: the longest window and, as
	// clocks differ, a day.
	reach = rules.MaxWindow + 24*time.Hour
	// retryAfter is the pause after a failure to build.
	retryAfter = 5 * time.Second
)

// Run restores the snapshot, follows the log, builds what is new from it, and
// writes snapshots, until ctx ends; then it writes a last one. Trouble with the
// log is logged, told by Health, and tried again: metrics are unknown meanwhile.
// The error is that of the last snapshot.
func (w *Windows) Run(ctx context.Context) error {
	f := follower{Windows: w, built: make(chan *board), wrote: make(chan written, 1), swept: w.config.Now(), written: w.config.Now()}
	if w.config.Path != "" {
		f.restore(ctx)
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for ctx.Err() == nil {
		f.step(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		case <-w.wake:
		case b := <-f.built:
			f.adopt(ctx, b)
		case end := <-f.wrote:
			f.writing = false
			f.noteSnapshot(ctx, end)
		}
	}
	f.stopBuilding()
	if f.writing {
		f.noteSnapshot(ctx, <-f.wrote)
	}
	if b := w.live.Load(); b != nil && w.config.Path != "" && f.worthWriting(b) {
		if _, err := b.write(w.config.Path); err != nil {
			return fmt.Errorf("write the snapshot of the metrics: %w", err)
		}
	}
	return nil
}

// follower is what Run remembers from step to step.
type follower struct {
	*Windows
	built    chan *board
	stop     context.CancelFunc // ends the builder, nil when there is none
	ended    chan struct{}      // closed once the builder has ended
	target   *layout            // of the builder
	retry    time.Time          // not before which a builder starts
	swept    time.Time
	written  time.Time
	snapshot events.Position // of the last snapshot
	writing  bool
	wrote    chan written
	failed   bool // the last look at the log; so that it is logged once
}

func (f *follower) step(ctx context.Context) {
	f.build(ctx)
	b := f.live.Load()
	if b == nil {
		return
	}
	asked := time.Now()
	err := f.catchUp(ctx, b, 0)
	if ctx.Err() != nil {
		return
	}
	f.mu.Lock()
	f.failure = err
	if err == nil {
		f.fresh = asked
	}
	f.mu.Unlock()
	if err != nil && !f.failed {
		f.config.Logger.ErrorContext(ctx, "metrics do not follow the log; they are unknown until they do", "error", err)
	}
	f.failed = err != nil
	f.announce()
	now := f.config.Now()
	if f.writing {
		return // a snapshot is being written: sweeping would make it copy everything
	}
	if now.Sub(f.swept).Abs() >= sweepEvery {
		f.swept = now
		b.sweep(now)
	}
	if f.config.Path != "" && now.Sub(f.written).Abs() >= f.config.SnapshotEvery && f.worthWriting(b) {
		f.written, f.writing = now, true
		go func() {
			at, err := b.write(f.config.Path)
			f.wrote <- written{at, err}
		}()
	}
}

// worthWriting tells whether a snapshot would hold what the last one does not.
func (f *follower) worthWriting(b *board) bool {
	at := b.at()
	return at.Seq > 0 && at != f.snapshot
}

// written is how writing a snapshot ended.
type written struct {
	at  events.Position // that the snapshot shows
	err error
}

// noteSnapshot keeps what the last snapshot shows. Meanwhile another board may
// answer, which that snapshot does not show.
func (f *follower) noteSnapshot(ctx context.Context, end written) {
	if end.err != nil {
		f.config.Logger.ErrorContext(ctx, "the snapshot of the metrics cannot be written; the next start reads the log again", "error", end.err)
		return
	}
	f.snapshot = end.at
}

// catchUp folds what the log has beyond the board. It pauses after each batch for
// so many times the time that the batch took.
func (w *Windows) catchUp(ctx context.Context, b *board, pause int) error {
	head, err := w.config.Log.Head(ctx)
	if err != nil {
		return fmt.Errorf("read the log's head: %w", err)
	}
	if head.Seq == 0 { // a log without any event
		b.begin(head)
		return nil
	}
	for !b.holds(head) {
		began := time.Now()
		run, err := w.config.Log.EventsAfter(ctx, b.at(), batch)
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if len(run) == 0 {
			if b.holds(head) { // Committed was faster
				return nil
			}
			return fmt.Errorf("read the log: nothing follows %v, but its head is %v", b.at(), head)
		}
		if err := b.fold(run, true, nil); err != nil {
			return err
		}
		if pause > 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(time.Duration(pause) * time.Since(began)):
			}
		}
	}
	return nil
}

// begin puts a board that holds nothing before the first event of a new log.
func (b *board) begin(at events.Position) {
	b.folding.Lock()
	defer b.folding.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.position.Seq == 0 {
		b.position = at
	}
}

// build sees to it that a board with all metrics of the set in force is there or
// on its way.
func (f *follower) build(ctx context.Context) {
	meters := f.config.Set().Meters()
	now := f.config.Now()
	if live := f.live.Load(); live != nil && live.layout.holds(meters) && !live.ahead(now) {
		f.stopBuilding() // of a set that is in force no more
		return
	}
	if f.stop != nil && f.target.holds(meters) || time.Now().Before(f.retry) {
		return
	}
	f.stopBuilding()
	building, stop := context.WithCancel(ctx)
	f.stop, f.ended, f.target = stop, make(chan struct{}), newLayout(meters)
	f.building.Store(true)
	go func(l *layout, ended chan struct{}) {
		defer close(ended)
		b, err := f.fromLog(building, l, now)
		if err != nil && building.Err() == nil {
			f.config.Logger.ErrorContext(building, "metrics cannot be built from the log; they stay unknown", "error", err)
		}
		select {
		case f.built <- b: // nil when it failed
		case <-building.Done():
		}
	}(f.target, f.ended)
}

// ahead tells whether the board has forgotten what is in windows that end now,
// because the clock was far ahead once.
func (b *board) ahead(now time.Time) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.horizon.Sub(now) > time.Hour
}

// stopBuilding ends the builder, if there is one.
func (f *follower) stopBuilding() {
	if f.stop == nil {
		return
	}
	f.stop()
	<-f.ended
	f.stop, f.target = nil, nil
	f.building.Store(false)
}

// fromLog builds a board from the log, up to its head. It leaves half of a
// processor to others, since decisions go on meanwhile.
func (w *Windows) fromLog(ctx context.Context, l *layout, now time.Time) (*board, error) {
	b := newBoard(l, w.config.MaxBytes)
	b.horizon = now
	b.setOldest()
	at, err := w.begins(ctx, l, now)
	if err != nil {
		return nil, fmt.Errorf("find where building begins: %w", err)
	}
	b.position = at
	if err := w.catchUp(ctx, b, 1); err != nil {
		return nil, err
	}
	return b, nil
}

// begins is the position behind which everything must be folded that windows can
// hold: without any metric, the log's end.
func (w *Windows) begins(ctx context.Context, l *layout, now time.Time) (events.Position, error) {
	if len(l.gauges) == 0 {
		return w.config.Log.Head(ctx)
	}
	return w.config.Log.PositionBefore(ctx, now.Add(-reach))
}

// adopt puts a board in the place of the live one. From then on Committed feeds
// it; what was committed since it was built, step reads before anybody sees it.
func (f *follower) adopt(ctx context.Context, b *board) {
	f.stopBuilding()
	if b == nil {
		f.retry = time.Now().Add(retryAfter)
		return
	}
	f.mu.Lock()
	f.boards = append(slices.Clone(f.boards), b)
	f.mu.Unlock()
	if err := f.catchUp(ctx, b, 0); err != nil {
		f.mu.Lock()
		f.boards = slices.DeleteFunc(slices.Clone(f.boards), func(other *board) bool { return other == b })
		f.mu.Unlock()
		if !errors.Is(err, context.Canceled) {
			f.config.Logger.ErrorContext(ctx, "metrics that were built do not follow the log", "error", err)
		}
		f.retry = time.Now().Add(retryAfter)
		return
	}
	f.mu.Lock()
	f.boards = []*board{b}
	f.mu.Unlock()
	f.live.Store(b)
	f.nudge()
}

// restore takes the snapshot, if it is one of this log.
func (f *follower) restore(ctx context.Context) {
	f.removeHalves(ctx)
	b, err := load(f.config.Path, f.config.Set().Meters(), f.config.MaxBytes)
	if err == nil && b != nil {
		err = f.verify(ctx, b)
	}
	switch {
	case err != nil:
		f.config.Logger.WarnContext(ctx, "the snapshot of the metrics is of no use; they are built from the log", "error", err)
	case b != nil:
		f.snapshot = b.at()
		f.adopt(ctx, b)
	}
}

// removeHalves removes what a process that was killed while it wrote a snapshot
// has left behind.
func (f *follower) removeHalves(ctx context.Context) {
	halves, err := filepath.Glob(f.config.Path + half)
	for _, path := range halves {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		f.config.Logger.WarnContext(ctx, "unfinished snapshots of the metrics are in the way", "error", err)
	}
}

// errForeign means that a snapshot holds what this log does not.
var errForeign = errors.New("it is not of this log")

// verify makes sure that the last event of a snapshot is in the log.
func (f *follower) verify(ctx context.Context, b *board) error {
	at := b.position
	if at.Seq == 0 {
		return errForeign // nothing to go by, and nothing lost
	}
	run, err := f.config.Log.EventsAfter(ctx, events.Position{Epoch: at.Epoch, Seq: at.Seq - 1}, 1)
	if err != nil {
		return errors.Join(errForeign, err)
	}
	if len(run) == 0 || run[0].Position != at || run[0].Leaf() != b.leaf {
		return errForeign
	}
	return nil
}
