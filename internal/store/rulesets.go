package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/events"
	"github.com/sallyport/sallyport/rules"
)

// CurrentRules reads the newest rule set, or engine.ErrNotFound before the first.
func (s *Store) CurrentRules(ctx context.Context) (rules.Version, error) {
	v, err := scanRules(func(into ...any) error {
		return s.read(ctx).get("SELECT "+rulesColumns+" ORDER BY number DESC LIMIT 1", nil, into...)
	})
	if err != nil {
		return rules.Version{}, fmt.Errorf("read rule set: %w", err)
	}
	return v, nil
}

// RulesVersion reads one rule set, or engine.ErrNotFound.
func (s *Store) RulesVersion(ctx context.Context, number int) (rules.Version, error) {
	v, err := scanRules(func(into ...any) error {
		return s.read(ctx).get("SELECT "+rulesColumns+" WHERE number = $1", args{int64(number)}, into...)
	})
	if err != nil {
		return rules.Version{}, fmt.Errorf("read rule set %d: %w", number, err)
	}
	return v, nil
}

const rulesColumns = "number, definition, author, note, published_at FROM rule_sets"

func scanRules(scan func(...any) error) (v rules.Version, err error) {
	var definition []byte
	var published int64
	err = scan(&v.Number, &definition, &v.Author, &v.Note, &published)
	if errors.Is(err, sql.ErrNoRows) {
		err = engine.ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal(definition, &v.Definition)
	}
	v.PublishedAt = instant(published)
	return v, err
}

// CurrentRulesNumber is the number of the newest rule set, 0 before the first.
// It is cheap enough to ask every second.
func (s *Store) CurrentRulesNumber(ctx context.Context) (int, error) {
	number, err := rulesNumber(s.read(ctx))
	if err != nil {
		return 0, fmt.Errorf("read rule set: %w", err)
	}
	return number, nil
}

func rulesNumber(q querier) (number int, err error) {
	err = q.get("SELECT COALESCE(MAX(number), 0) FROM rule_sets", nil, &number)
	return number, err
}

// RuleVersions reads the newest rule sets without their definitions, newest
// first.
func (s *Store) RuleVersions(ctx context.Context, limit int) ([]rules.Version, error) {
	found := []rules.Version{}
	rows, err := s.read(ctx).list("SELECT number, author, note, published_at FROM rule_sets ORDER BY number DESC LIMIT $1",
		args{int64(max(0, limit))})
	err = each(rows, err, func(rows *sql.Rows) error {
		var v rules.Version
		var published int64
		err := rows.Scan(&v.Number, &v.Author, &v.Note, &published)
		v.PublishedAt = instant(published)
		found = append(found, v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read rule sets: %w", err)
	}
	return found, nil
}

// PublishRules makes a definition the current rule set, with the next number and
// its event, by v.Author. It returns engine.ErrConflict when the current number
// is not base; a base below 0 means whatever is current. The definition must
// have been compiled before.
//
// A draft that it was published from, "" for none, ends in the same transaction.
// It is engine.ErrNotFound when the draft is gone and engine.ErrConflict when it
// has another revision by now.
func (s *Store) PublishRules(ctx context.Context, base int, v rules.Version, draft string, revision int) (rules.Version, error) {
	definition, err := json.Marshal(v.Definition)
	if err != nil {
		return rules.Version{}, fmt.Errorf("publish rule set: %w", err)
	}
	var in input
	in.name("author", v.Author)
	in.text("note", v.Note, maxText)
	in.name("draft", draft)
	in.definition(definition)
	if in.err != nil {
		return rules.Version{}, in.err
	}
	if v.PublishedAt.IsZero() {
		v.PublishedAt = s.now()
	}
	v.PublishedAt = instant(micros(v.PublishedAt))
	hash := sha256.Sum256(definition)
	var answer error
	err = s.write(ctx, func(t *tx) error {
		answer = nil
		current, err := rulesNumber(t)
		if err != nil {
			return err
		}
		if base >= 0 && base != current {
			answer = engine.ErrConflict
			return nil
		}
		if draft != "" {
			if answer, err = endDraft(t, draft, revision); err != nil || answer != nil {
				return err
			}
		}
		v.Number = current + 1
		if _, err := t.exec("INSERT INTO rule_sets (number, definition, author, note, published_at) VALUES ($1, $2, $3, $4, $5)",
			int64(v.Number), definition, v.Author, v.Note, micros(v.PublishedAt)); err != nil {
			return err
		}
		event, err := events.NewDraft(events.RuleSetPublished{
			Set: v.Number, Author: v.Author, Note: v.Note, SHA256: hex.EncodeToString(hash[:]), Draft: draft,
		}, nil, v.PublishedAt)
		if err != nil {
			return err
		}
		return t.log(event)
	})
	if err == nil {
		err = answer
	}
	if err != nil {
		return rules.Version{}, fmt.Errorf("publish rule set: %w", err)
	}
	return v, nil
}
