package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/sallyport/sallyport/engine"
	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/internal/ruleset"
	"github.com/sallyport/sallyport/rules"
)

// listStore keeps lists.
type listStore interface {
	ruleset.ListStore
	// List reads one list; engine.ErrNotFound.
	List(ctx context.Context, name string) (lists.Head, error)
	// ListItems reads items in the order of their values, those after a value.
	ListItems(ctx context.Context, name, after string, limit int) ([]lists.Item, error)
	// ChangeList adds and removes items in one step, or with replace makes add the
	// whole list. What is added and there already is overwritten.
	ChangeList(ctx context.Context, name string, add []lists.Item, remove []string, replace bool, by, note string) (lists.Applied, error)
	// DropList ends a list; engine.ErrNotFound, and engine.ErrConflict when the set
	// in force declares it.
	DropList(ctx context.Context, name, by string) error
}

type wireList struct {
	Name        string         `json:"name"`
	Type        rules.ListType `json:"type"`
	Title       string         `json:"title,omitempty"`
	Description string         `json:"description,omitempty"`
	Items       int            `json:"items"`
	Version     int64          `json:"version"`
	ChangedAt   wireTime       `json:"changedAt"`
	Used        bool           `json:"used"` // the set in force declares it
}

// wireApplied is a list after a change, and what the change did.
type wireApplied struct {
	wireList
	Added     int `json:"added"`
	Changed   int `json:"changed"`
	Unchanged int `json:"unchanged"`
	Removed   int `json:"removed"`
}

func (s *Server) listOf(h lists.Head) wireList {
	return wireList{
		Name: h.Name, Type: h.Type, Title: h.Title, Description: h.Description, Items: h.Items, Version: h.Version,
		ChangedAt: wireTime(h.ChangedAt), Used: s.used(h.Name),
	}
}

// used reports whether the set in force declares a list.
func (s *Server) used(name string) bool {
	declared := s.config.Rules.Current().Version().Definition.Lists
	return slices.ContainsFunc(declared, func(l rules.List) bool { return l.Name == name })
}

// noList says that a name is none, and which was probably meant.
func (s *Server) noList(ctx context.Context, name string) string {
	text := "There is no list " + strconv.Quote(name)
	heads, err := s.config.Store.Lists(ctx)
	if err != nil { // a suggestion is not worth another answer
		return text + "."
	}
	names := make([]string, len(heads))
	for i, h := range heads {
		names[i] = h.Name
	}
	if near := rules.Nearest(name, names); near != "" {
		return text + "; did you mean " + near + "?"
	}
	return text + "."
}

// gone answers a call about a list that was there a moment ago.
func gone(err error, name string) error {
	return missing(err, "There is no list "+strconv.Quote(name)+" any more.")
}

// allLists lists the lists.
func (s *Server) allLists(k *call) error {
	ctx, cancel := k.within()
	defer cancel()
	heads, err := s.config.Store.Lists(ctx)
	if err != nil {
		return fmt.Errorf("read lists: %w", err)
	}
	answer := struct {
		Lists []wireList `json:"lists"`
	}{make([]wireList, len(heads))}
	for i, h := range heads {
		answer.Lists[i] = s.listOf(h)
	}
	return k.ok(answer)
}

func (s *Server) list(k *call, name string) (lists.Head, error) {
	if !rules.IsListName(name) {
		return lists.Head{}, invalidField("name", "must be 1 to 64 lower-case letters, digits and underscores, and begin with a letter.")
	}
	ctx, cancel := k.within()
	defer cancel()
	head, err := s.config.Store.List(ctx, name)
	if err != nil {
		if errors.Is(err, engine.ErrNotFound) {
			return head, missing(err, s.noList(ctx, name))
		}
		return head, fmt.Errorf("read list: %w", err)
	}
	return head, nil
}

func (s *Server) createList(k *call) error {
	var request struct {
		Name        string         `json:"name"`
		Type        rules.ListType `json:"type"`
		Title       string         `json:"title"`
		Description string         `json:"description"`
	}
	if err := k.decodeExactly(&request); err != nil {
		return err
	}
	switch {
	case !rules.IsListName(request.Name):
		return invalidField("name", "must be 1 to 64 lower-case letters, digits and underscores, and begin with a letter.")
	case request.Type != rules.ListOfStrings && request.Type != rules.ListOfNumbers && request.Type != rules.ListOfRanges:
		return invalidField("type", "must be string, number or cidr.")
	}
	if err := checkName("title", request.Title); err != nil {
		return err
	}
	if err := checkText("description", request.Description, maxAttribute); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	created, err := s.config.Store.CreateList(ctx, lists.Head{
		Name: request.Name, Type: request.Type, Title: request.Title, Description: request.Description,
	}, k.by())
	if errors.Is(err, engine.ErrConflict) {
		return &Error{Status: http.StatusConflict, Code: codeConflict, Description: "There is a list " + strconv.Quote(request.Name) + " already.", Cause: err}
	}
	if err != nil {
		return fmt.Errorf("create list: %w", err)
	}
	s.listsChanged(k)
	return k.ok(s.listOf(created))
}

// dropList ends a list that the set in force does not declare.
func (s *Server) dropList(k *call, name string) error {
	if s.used(name) {
		return &Error{
			Status: http.StatusConflict, Code: codeConflict,
			Description: "Rule set " + strconv.Itoa(s.config.Rules.Current().Number()) + ", which is in force, declares the list " +
				strconv.Quote(name) + ". Publish a set that does not, then drop the list.",
		}
	}
	ctx, cancel := k.within()
	defer cancel()
	if err := s.config.Store.DropList(ctx, name, k.by()); err != nil {
		return notDropped(err, name, "There is no list "+strconv.Quote(name)+" any more.")
	}
	s.listsChanged(k)
	return k.write(http.StatusOK, done200)
}

// notDropped says why the store did not drop a list; none, that it is not there.
// The store knows a set in force of which this node has not heard yet.
func notDropped(err error, name, none string) error {
	err = fmt.Errorf("drop list: %w", err)
	if errors.Is(err, engine.ErrConflict) {
		return &Error{
			Status: http.StatusConflict, Code: codeConflict, Cause: err,
			Description: "The rule set in force declares the list " + strconv.Quote(name) + ". Publish a set that does not, then drop the list.",
		}
	}
	return missing(err, none)
}

// listsChanged brings this node's lists up to date, so that the caller's next
// action is decided with them.
func (s *Server) listsChanged(k *call) {
	if s.config.Lists == nil {
		return
	}
	ctx, cancel := k.within()
	defer cancel()
	if err := s.config.Lists.Refresh(ctx); err != nil { // its Run tries again, and logs
		s.config.Lists.Nudge()
	}
}

// pathList is the list that the path names.
func (s *Server) pathList(k *call) (lists.Head, error) { return s.list(k, k.Param("list")) }

// getList describes one list.
func (s *Server) getList(k *call) error {
	head, err := s.pathList(k)
	if err != nil {
		return err
	}
	return k.ok(s.listOf(head))
}

// deleteList ends a list.
func (s *Server) deleteList(k *call) error {
	head, err := s.pathList(k)
	if err != nil {
		return err
	}
	return s.dropList(k, head.Name)
}

// listsDrop ends a list.
func (s *Server) listsDrop(k *call) error {
	var request struct {
		Name string `json:"name"`
	}
	if err := k.decodeExactly(&request); err != nil {
		return err
	}
	head, err := s.list(k, request.Name)
	if err != nil {
		return err
	}
	return s.dropList(k, head.Name)
}
