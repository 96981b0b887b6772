package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
)

const defaultPage = 50

// Decisions implements events.Reader over the log.
func (s *Store) Decisions(ctx context.Context, f events.Filter) (events.Page[events.Decision], error) {
	limit := f.Limit
	switch {
	case limit == 0:
		limit = defaultPage
	case limit < 0 || limit > events.MaxPage:
		return events.Page[events.Decision]{}, &engine.InputError{Field: "limit", Message: fmt.Sprintf("must be between 1 and %d", events.MaxPage)}
	}
	if unstorable(string(f.User), f.Action, f.Outcome) {
		return events.Page[events.Decision]{Items: []events.Decision{}}, nil
	}
	c, err := s.decisionConditions(ctx, f)
	if err != nil {
		return events.Page[events.Decision]{}, fmt.Errorf("read decisions: %w", err)
	}
	page := events.Page[events.Decision]{Items: []events.Decision{}}
	var places []int64
	rows, err := s.read(ctx).list(`SELECT a.place, a.user_id, a.action, a.action_key, a.state, e.time, e.body, e.personal
		FROM actions a JOIN events e ON e.place = a.place`+c.text.String()+
		" ORDER BY a.created_at DESC, a.place DESC LIMIT "+c.value(int64(limit+1)), c.values)
	err = each(rows, err, func(rows *sql.Rows) error {
		d, place, err := scanDecision(rows.Scan)
		page.Items, places = append(page.Items, d), append(places, place)
		return err
	})
	for i := range page.Items {
		if err == nil {
			page.Items[i].Position, err = s.lives.position(s.read(ctx), places[i])
		}
	}
	if err != nil {
		return events.Page[events.Decision]{}, fmt.Errorf("read decisions: %w", err)
	}
	if len(page.Items) > limit {
		page.Items = page.Items[:limit]
		last := page.Items[limit-1]
		page.Next = events.CursorAt(last.Time, last.Position)
	}
	return page, nil
}

func (s *Store) decisionConditions(ctx context.Context, f events.Filter) (*conditions, error) {
	c := &conditions{}
	if f.User != "" {
		c.and("a.user_id = ?", string(f.User))
	}
	if f.Action != "" {
		c.and("a.action = ?", f.Action)
	}
	if f.Outcome != "" {
		c.and("a.outcome = ?", f.Outcome)
	}
	if !f.From.IsZero() {
		c.and("a.created_at >= ?", f.From.UnixMicro())
	}
	if !f.To.IsZero() {
		c.and("a.created_at < ?", f.To.UnixMicro())
	}
	at, p, err := f.After.Split()
	if err != nil || at.IsZero() {
		return c, err
	}
	life, err := s.lives.life(s.read(ctx), p.Epoch)
	switch {
	case errors.Is(err, ErrEpoch): // a cursor of the archive, from before a new life of the log
		c.and("a.created_at < ?", at.UnixMicro())
	case err != nil:
		return nil, err
	default:
		c.and("(a.created_at, a.place) < (?, ?)", at.UnixMicro(), placeOf(life, p.Seq))
	}
	return c, nil
}

func scanDecision(scan func(...any) error) (d events.Decision, place int64, err error) {
	var at int64
	var body, personal []byte
	if err := scan(&place, &d.User, &d.Code, &d.Key, &d.State, &at, &body, &personal); err != nil {
		return d, 0, err
	}
	var tracked events.ActionTracked
	if err := json.Unmarshal(body, &tracked); err != nil {
		return d, 0, fmt.Errorf("read body of %s: %w", events.KindActionTracked, err)
	}
	values, err := events.Draft{Kind: events.KindActionTracked, Personal: personal}.PersonalValues()
	if err != nil {
		return d, 0, err
	}
	d.Time, d.Outcome, d.Reason, d.Rule, d.RuleName = instant(at), tracked.Outcome, tracked.Reason, tracked.Rule, tracked.RuleName
	d.Set, d.Matches, d.Enrolled, d.Country, d.Micros = tracked.Set, tracked.Matches, tracked.Enrolled, tracked.Country, tracked.Micros
	d.IP, d.UserAgent = values[events.PersonalIP], values[events.PersonalUserAgent]
	return d, place, nil
}

// Story implements events.Reader over the log.
func (s *Store) Story(ctx context.Context, id events.ActionID) ([]events.Event, error) {
	if unstorable(string(id.User), id.Code, id.Key) {
		return nil, nil
	}
	story, err := s.events(ctx, `WHERE e.place IN (
			SELECT place FROM actions WHERE user_id = $1 AND action = $2 AND action_key = $3
			UNION ALL
			SELECT place FROM events WHERE user_id = $1 AND action = $2 AND action_key = $3 AND kind <> 'action.tracked')
		ORDER BY e.place LIMIT $4`, string(id.User), id.Code, id.Key, int64(events.MaxStory))
	if err != nil {
		return nil, fmt.Errorf("read story: %w", err)
	}
	return story, nil
}
