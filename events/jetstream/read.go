package jetstream

import (
	"context"
	"errors"
	"fmt"
	"sort"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/sallyport/sallyport/events"
)

// fetchMessages is how many messages are on their way to a reader at most.
const fetchMessages = 16

// Read hands the events after a position to handle, batch by batch, waiting for
// new ones, until ctx ends, handle fails or the stream does. It begins with the
// batch that holds the first event after the position, so that batch may hold
// earlier events too; with the zero position, or one that the stream does not
// know, it begins with the oldest batch. A batch holds neighbours of one epoch.
// There may be gaps and repetitions between batches; the log fills the gaps. An
// event whose Body is nil was too large for a message and is to be read from the
// log.
func (s *Stream) Read(ctx context.Context, after events.Position, handle func(batch []events.Event) error) error {
	session, err := s.attach(ctx)
	if err != nil {
		return err
	}
	start, err := session.find(ctx, subjectOf(s.config.Name), after)
	if err != nil {
		return fmt.Errorf("find %s in the stream: %w", after, err)
	}
	consumer, err := session.stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: start,
	})
	if err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(fetchMessages))
	if err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	defer messages.Stop()
	for {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("read the stream: %w", err)
		}
		batch, err := decode(message.Data())
		if err != nil {
			// The log fills the gap that this leaves.
			s.config.Log.Error("a message of the stream can't be read and is passed over",
				"subject", message.Subject(), "error", err)
			continue
		}
		if err := handle(batch); err != nil {
			return err
		}
	}
}

// find returns the stream sequence of the message that holds the first event
// after a position. Messages of one epoch stand together and in order; if a
// mishap has broken that, a reader gets more repetitions or a gap, never wrong
// events.
func (s *session) find(ctx context.Context, prefix string, after events.Position) (uint64, error) {
	info, err := s.stream.Info(ctx)
	if err != nil {
		return 0, err
	}
	oldest := max(info.State.FirstSeq, 1)
	subject := prefix + after.Epoch.String()
	last, err := s.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return oldest, nil
	}
	if err != nil {
		return 0, err
	}
	first, err := s.stream.GetMsg(ctx, oldest, jetstream.WithGetMsgSubject(subject))
	if err != nil {
		return 0, err
	}
	var failure error
	n := sort.Search(int(last.Sequence-first.Sequence)+1, func(i int) bool {
		if failure != nil {
			return true
		}
		message, err := s.stream.GetMsg(ctx, first.Sequence+uint64(i))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return false
		}
		if err != nil {
			failure = err
			return true
		}
		batch, err := decode(message.Data)
		return err == nil && len(batch) > 0 && batch[0].Epoch == after.Epoch && batch[len(batch)-1].Seq > after.Seq
	})
	return first.Sequence + uint64(n), failure
}
