package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/events/jetstream"
	"github.com/sallyport/sallyport/internal/store"
)

// recoverCommand accepts that events which NATS or the archive have seen are
// lost. It changes nothing when nothing is.
func recoverCommand(ctx context.Context, call call) (err error) {
	config, err := call.config()
	if err != nil {
		return err
	}
	log := newLogger(config, call.IO)
	if err := makeFolder(config.Data); err != nil {
		return err
	}
	state, damage, err := openDamaged(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, state.Close()) }()
	stream, err := jetstream.Open(ctx, streamConfig(config, log))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()

	seen := map[string][]events.Position{}
	head, err := stream.Head(ctx)
	if err != nil {
		return fmt.Errorf("ask NATS what it has seen: %w", err)
	}
	seen["NATS"] = []events.Position{head}
	if config.ClickHouse.Mode != Absent {
		if seen["the archive"], err = askArchive(ctx, config, state, stream, log); err != nil {
			return fmt.Errorf("ask the archive what it has seen: %w", err)
		}
	}
	return acceptLoss(ctx, call, state, damage, seen)
}

func askArchive(ctx context.Context, config Config, state *store.Store, stream *jetstream.Stream, log *slog.Logger) (seen []events.Position, err error) {
	archive, err := openArchive(config, state, stream, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, archive.Close()) }()
	if err := errors.Join(archive.start(ctx), archive.client.Prepare(ctx)); err != nil {
		return nil, err
	}
	return archive.seen(ctx)
}

// acceptLoss begins a new epoch if the log is damaged or behind, and remembers up
// to where each part's events are known to be lost.
func acceptLoss(ctx context.Context, call call, state *store.Store, damage error, seen map[string][]events.Position) error {
	var furthest events.Position
	accepted := map[string]events.Position{}
	for part, positions := range seen {
		for _, position := range positions {
			var behind *HeadError
			err := checkHead(ctx, state, part, position)
			if err != nil && !errors.As(err, &behind) {
				return err
			}
			if behind != nil {
				fmt.Fprintf(call.Err, "%s has seen %s, the log ends at %s.\n", part, behind.Seen, behind.Log)
				if before := accepted[part]; before.Epoch != position.Epoch || before.Seq < position.Seq {
					accepted[part] = position
				}
				if position.Seq > furthest.Seq {
					furthest = position
				}
			}
		}
	}
	if damage != nil {
		fmt.Fprintln(call.Err, damage)
	}
	if damage == nil && len(accepted) == 0 {
		_, err := fmt.Fprintln(call.Out, "Nothing is lost; nothing was changed.")
		return err
	}
	if err := state.Recover(ctx, furthest); err != nil {
		return err
	}
	for part, position := range accepted {
		if err := state.SaveCursor(ctx, acceptedLoss(part), position); err != nil {
			return err
		}
	}
	head, err := state.Head(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(call.Out, "The loss is accepted and recorded. The log goes on at %s.\n", head)
	return err
}

// openDamaged opens the log although its end may be damaged, and returns the
// damage beside it.
func openDamaged(ctx context.Context, config Config) (*store.Store, error, error) {
	state, err := store.Open(ctx, store.Config{Dir: config.Data})
	var damage *store.DamageError
	if !errors.As(err, &damage) {
		return state, nil, err
	}
	state, err = store.Open(ctx, store.Config{Dir: config.Data, AcceptLoss: true})
	return state, damage, err
}
