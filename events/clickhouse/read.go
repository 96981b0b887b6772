package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/events"
)

// eventColumns are the columns that make an event, in the order of scan.
const eventColumns = "epoch, seq, time, kind, version, user, action, key, state, body, personal, salt"

// read runs a query for eventColumns.
func (a *Archive) read(ctx context.Context, query string, args ...any) ([]events.Event, error) {
	rows, err := a.conn.Query(bounded(ctx), query, args...)
	if err != nil {
		return nil, fmt.Errorf("read archived events: %w", err)
	}
	defer rows.Close()
	var list []events.Event
	for rows.Next() {
		var (
			e                                             events.Event
			epoch                                         uint64
			version                                       uint16
			kind, user, action, key, state, body, p, salt string
		)
		err := rows.Scan(&epoch, &e.Seq, &e.Time, &kind, &version, &user, &action, &key, &state, &body, &p, &salt)
		if err != nil {
			return nil, fmt.Errorf("read archived events: %w", err)
		}
		e.Epoch, e.Time, e.Kind, e.Version = events.Epoch(epoch), e.Time.UTC(), events.Kind(kind), int(version)
		e.Action = events.ActionID{User: events.UserID(user), Code: action, Key: key}
		e.State, e.Body = events.ActionState(state), []byte(body)
		if p != "" {
			e.Personal = []byte(p)
		}
		if salt != "" {
			e.Salt = []byte(salt)
		}
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read archived events: %w", err)
	}
	return list, nil
}

// where collects the conditions of a query and their values.
type where struct {
	conditions []string
	values     []any
}

func (w *where) and(condition string, values ...any) {
	w.conditions = append(w.conditions, condition)
	w.values = append(w.values, values...)
}

func (w *where) String() string { return " WHERE " + strings.Join(w.conditions, " AND ") }

// micros is a column's value for a time: a time.Time bound by the client would
// lose its fraction.
const micros = "fromUnixTimestamp64Micro(?, 'UTC')"

// Decisions implements events.Reader.
func (a *Archive) Decisions(ctx context.Context, filter events.Filter) (events.Page[events.Decision], error) {
	var page events.Page[events.Decision]
	at, position, err := filter.After.Split()
	if err != nil {
		return page, err
	}
	size, err := filter.PageSize()
	if err != nil {
		return page, err
	}
	list, err := a.newest(ctx, conditionsOf(filter), at, position, size+1)
	if err != nil {
		return page, err
	}
	if len(list) > size {
		list = list[:size]
		page.Next = events.CursorAt(list[size-1].Time, list[size-1].Position)
	}
	states, err := a.states(ctx, list)
	if err != nil {
		return page, err
	}
	page.Items = make([]events.Decision, len(list))
	for i, e := range list {
		if page.Items[i], err = decisionOf(e); err != nil {
			return page, err
		}
		if state, known := states[e.Action]; known {
			page.Items[i].State = state
		}
	}
	return page, nil
}

func conditionsOf(filter events.Filter) where {
	w := where{}
	w.and("kind = ?", string(events.KindActionTracked))
	if filter.User != "" {
		w.and("user = ?", string(filter.User))
	}
	if filter.Action != "" {
		w.and("action = ?", filter.Action)
	}
	if filter.Outcome != "" {
		w.and("outcome = ?", filter.Outcome)
	}
	if !filter.From.IsZero() {
		w.and("time >= "+micros, ceilMicro(filter.From))
	}
	if !filter.To.IsZero() {
		w.and("time < "+micros, ceilMicro(filter.To))
	}
	return w
}

// spare is how many second copies of rows a page is likely to meet at most.
const spare = 8

// newest reads the n newest events that the conditions select, those before a
// position when at is not zero. The table is read backwards along its sorting
// key and only as far as it takes. FINAL or LIMIT BY would leave out the second
// copy of a row, which an interrupted insert may have left, but would read the
// whole time range (2 s instead of 20 ms over two million rows); so copies are
// left out here.
func (a *Archive) newest(ctx context.Context, conditions where, at time.Time, before events.Position, n int) ([]events.Event, error) {
	var list []events.Event
	for len(list) < n {
		w := where{conditions: slices.Clip(conditions.conditions), values: slices.Clip(conditions.values)}
		if !at.IsZero() {
			w.and("time <= "+micros, at.UnixMicro()) // this condition can use the sorting key
			w.and("(time, epoch, seq) < ("+micros+", ?, ?)", at.UnixMicro(), uint64(before.Epoch), before.Seq)
		}
		limit := n - len(list) + spare
		rows, err := a.read(ctx, a.sql("SELECT "+eventColumns+" FROM {table}"+w.String()+
			" ORDER BY time DESC, epoch DESC, seq DESC LIMIT ?"), append(w.values, limit)...)
		if err != nil {
			return nil, err
		}
		list = append(list, slices.CompactFunc(rows, func(a, b events.Event) bool { return a.Position == b.Position })...)
		if len(rows) < limit {
			break
		}
		at, before = list[len(list)-1].Time, list[len(list)-1].Position
	}
	return list[:min(len(list), n)], nil
}

// ceilMicro is the first whole microsecond that is not before t.
func ceilMicro(t time.Time) int64 { return t.Add(time.Microsecond - 1).UnixMicro() }

// decisionOf is what the console lists of an action.tracked event.
func decisionOf(e events.Event) (events.Decision, error) {
	record, err := e.Decode()
	if err != nil {
		return events.Decision{}, fmt.Errorf("read event %s: %w", e.Position, err)
	}
	tracked, ok := record.(*events.ActionTracked)
	if !ok {
		return events.Decision{}, fmt.Errorf("read event %s: it is no decision but %s", e.Position, e.Kind)
	}
	personal, err := e.PersonalValues()
	if err != nil {
		return events.Decision{}, fmt.Errorf("read event %s: %w", e.Position, err)
	}
	return events.Decision{
		Position: e.Position, ActionID: e.Action, Time: e.Time, Outcome: tracked.Outcome, State: tracked.State,
		Reason: tracked.Reason, Rule: tracked.Rule, RuleName: tracked.RuleName, Set: tracked.Set,
		Matches: tracked.Matches, Enrolled: tracked.Enrolled, Country: tracked.Country, Micros: tracked.Micros,
		IP: personal[events.PersonalIP], UserAgent: personal[events.PersonalUserAgent],
	}, nil
}

// clockSkew is how far the clock of the node that changed an action may be
// behind the clock of the one that tracked it.
const clockSkew = time.Hour

// states finds the newest state of each action in a page, newest first, of
// decisions.
func (a *Archive) states(ctx context.Context, list []events.Event) (map[events.ActionID]events.ActionState, error) {
	if len(list) == 0 {
		return nil, nil
	}
	w := &where{}
	w.and("state != ''")
	w.and("time >= "+micros, list[len(list)-1].Time.Add(-clockSkew).UnixMicro())
	actions, keys := make([]string, len(list)), make([]string, len(list))
	var ids, plain []any
	for i, e := range list {
		actions[i], keys[i] = "(?, ?, ?)", "?"
		ids = append(ids, string(e.Action.User), e.Action.Code, e.Action.Key)
		plain = append(plain, e.Action.Key)
	}
	w.and("key IN ("+strings.Join(keys, ", ")+")", plain...) // this condition can use the index
	w.and("(user, action, key) IN ("+strings.Join(actions, ", ")+")", ids...)
	rows, err := a.conn.Query(bounded(ctx), a.sql("SELECT epoch, seq, time, user, action, key, state FROM {table}"+w.String()), w.values...)
	if err != nil {
		return nil, fmt.Errorf("read the states of actions: %w", err)
	}
	defer rows.Close()
	changes := map[events.ActionID][]events.Event{}
	for rows.Next() {
		var (
			e                        events.Event
			epoch                    uint64
			user, action, key, state string
		)
		if err := rows.Scan(&epoch, &e.Seq, &e.Time, &user, &action, &key, &state); err != nil {
			return nil, fmt.Errorf("read the states of actions: %w", err)
		}
		e.Epoch, e.State = events.Epoch(epoch), events.ActionState(state)
		id := events.ActionID{User: events.UserID(user), Code: action, Key: key}
		changes[id] = append(changes[id], e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the states of actions: %w", err)
	}
	states := make(map[events.ActionID]events.ActionState, len(changes))
	for id, story := range changes {
		events.SortStory(story)
		states[id] = story[len(story)-1].State
	}
	return states, nil
}

// Story implements events.Reader.
func (a *Archive) Story(ctx context.Context, id events.ActionID) ([]events.Event, error) {
	story, err := a.read(ctx, a.sql("SELECT "+eventColumns+" FROM {table} WHERE user = ? AND action = ? AND key = ?"+
		" ORDER BY time, epoch, seq LIMIT 1 BY time, epoch, seq LIMIT ?"),
		string(id.User), id.Code, id.Key, events.MaxStory)
	if err != nil {
		return nil, err
	}
	events.SortStory(story)
	return story, nil
}
