package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/engine/lists"
	"github.com/sallyport/sallyport/rules"
)

// Limits of calls about lists.
const (
	maxItemsPage   = 1000   // items on one page
	maxItemsAtOnce = 10_000 // items added or removed by one JSON body
)

type wireItem struct {
	Value   string   `json:"value"`
	Note    string   `json:"note,omitempty"`
	Author  string   `json:"author,omitempty"`
	AddedAt wireTime `json:"addedAt,omitzero"`
	Expires wireTime `json:"expires,omitzero"`
	Expired bool     `json:"expired,omitempty"` // it counts no more, and will be gone soon
}

func itemOf(i lists.Item, now time.Time) wireItem {
	return wireItem{
		Value: i.Value, Note: i.Note, Author: i.Author, AddedAt: wireTime(i.AddedAt), Expires: wireTime(i.Expires),
		Expired: lists.Expired(i.Expires, now),
	}
}

// items writes a page of a list's items.
func (s *Server) items(k *call, head lists.Head) error {
	limit := 100
	if text := k.QueryParam("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxItemsPage {
			return invalidField("limit", fmt.Sprintf("must be a number from 1 to %d.", maxItemsPage))
		}
		limit = n
	}
	after := k.QueryParam("after")
	if err := checkText("after", after, lists.MaxValueBytes); err != nil {
		return err
	}
	ctx, cancel := k.within()
	defer cancel()
	found, err := s.config.Store.ListItems(ctx, head.Name, after, limit)
	if err != nil {
		return gone(fmt.Errorf("read items: %w", err), head.Name)
	}
	answer := struct {
		List  wireList   `json:"list"`
		Items []wireItem `json:"items"`
		Next  string     `json:"next,omitempty"` // after, for the next page
	}{List: s.listOf(head), Items: make([]wireItem, len(found))}
	now := s.now()
	for i, item := range found {
		answer.Items[i] = itemOf(item, now)
	}
	if len(found) == limit {
		answer.Next = found[limit-1].Value
	}
	return k.ok(answer)
}

// exportItems writes all items that have not expired as CSV, which an import
// reads, page by page, so that no list is in memory whole. When a page cannot be read the connection is dropped: a file that ends
// early must not look like a whole one.
func (s *Server) exportItems(k *call, head lists.Head) error {
	ctx, cancel := k.withinCostly()
	defer cancel()
	page, err := s.config.Store.ListItems(ctx, head.Name, "", maxItemsPage)
	if err != nil {
		return gone(fmt.Errorf("read items: %w", err), head.Name)
	}
	header := k.Response().Header()
	header.Set("Content-Type", "text/csv; charset=utf-8")
	header.Set("Content-Disposition", `attachment; filename="`+head.Name+`.csv"`)
	k.Response().WriteHeader(http.StatusOK)
	now := s.now()
	items := func(yield func(lists.Item) bool) {
		for len(page) > 0 {
			for _, item := range page {
				if !lists.Expired(item.Expires, now) && !yield(item) {
					return
				}
			}
			if page, err = s.config.Store.ListItems(ctx, head.Name, page[len(page)-1].Value, maxItemsPage); err != nil {
				return
			}
		}
	}
	if written := lists.WriteCSV(k.Response(), head.Type, items); err != nil || written != nil {
		s.log.WarnContext(ctx, "an export of a list ended early", "error", errors.Join(err, written))
		panic(http.ErrAbortHandler)
	}
	return nil
}

// importItems reads CSV from the body: all of it or nothing.
func (s *Server) importItems(k *call, head lists.Head, replace bool) error {
	if k.Request().ContentLength > MaxListBody {
		return tooLarge(MaxListBody)
	}
	note, err := checkedNote(k.QueryParam("note"))
	if err != nil {
		return err
	}
	body := http.MaxBytesReader(k.Response(), k.Request().Body, MaxListBody)
	items, err := lists.ParseCSV(body, head.Type, lists.Limits{Bytes: MaxListBody, Now: s.now()})
	if err != nil {
		return listError(err)
	}
	return s.changeList(k, head, items, nil, replace, note)
}

// listError says what is wrong with the lines of a file.
func listError(err error) error {
	var (
		broken *lists.CSVError
		large  *http.MaxBytesError
	)
	switch {
	case errors.As(err, &large):
		return tooLarge(MaxListBody)
	case !errors.As(err, &broken):
		e := invalid("The request's body could not be read to its end.")
		e.Cause = err
		return e
	}
	e := invalid("Nothing was imported, because of " + plural(broken.Count, "problem") + " in the file.")
	for _, p := range broken.Problems {
		e.Details = append(e.Details, rules.Problem{Field: p.Column, Line: p.Line, Message: p.Message})
	}
	return e
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// wireChange is items to add or to remove.
type wireChange struct {
	Name  string          `json:"name"` // console only
	Items []wireAddedItem `json:"items"`
	Note  string          `json:"note"` // of the change
}

type wireAddedItem struct {
	Value   json.RawMessage `json:"value"` // string or number
	Note    string          `json:"note"`
	Expires time.Time       `json:"expires"` // left out: never
}

// parsed checks items as a file's lines are checked, at a time.
func (c wireChange) parsed(typ rules.ListType, now time.Time) ([]lists.Item, error) {
	if len(c.Items) == 0 || len(c.Items) > maxItemsAtOnce {
		return nil, invalidField("items", fmt.Sprintf("must be 1 to %d items.", maxItemsAtOnce))
	}
	var problems []rules.Problem
	items := make([]lists.Item, len(c.Items))
	for i, item := range c.Items {
		value, err := canonical(typ, item.Value)
		if err != nil {
			err = fmt.Errorf("the value %s %w", valueText(item.Value), err)
		} else if lists.Expired(item.Expires, now) {
			err = fmt.Errorf("the expiry of %s, %s, %w", valueText(item.Value), item.Expires.Format(time.RFC3339), lists.ErrExpired)
		} else if note := checkText("note", item.Note, 4*lists.MaxNoteRunes); note != nil {
			err = errors.New("the " + asError(note).Description)
		}
		if err != nil {
			problems = append(problems, rules.Problem{Field: fmt.Sprintf("items[%d]", i), Message: strings.TrimSuffix(err.Error(), ".") + "."})
			continue
		}
		items[i] = lists.Item{Value: value, Note: item.Note, Expires: item.Expires}
	}
	if len(problems) > 0 {
		e := invalid("Nothing was changed: " + problems[0].Field + ": " + problems[0].Message)
		e.Details = problems[:min(len(problems), rules.MaxProblems)]
		return nil, e
	}
	return items, nil
}

// valueText shows a value as it was sent, cut.
func valueText(raw json.RawMessage) string {
	const most = 60
	if len(raw) == 0 {
		return "that is missing"
	}
	if len(raw) > most {
		return strings.ToValidUTF8(string(raw[:most]), "") + "…"
	}
	return string(raw)
}

// canonical reads a value as JSON has it: a text, or a number as it stands.
func canonical(typ rules.ListType, raw json.RawMessage) (string, error) {
	text := string(raw)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", errors.New("is not a text")
		}
	}
	return lists.Canonical(typ, text)
}

func (s *Server) changeList(k *call, head lists.Head, add []lists.Item, remove []string, replace bool, note string) error {
	ctx, cancel := k.withinCostly()
	defer cancel()
	did, err := s.config.Store.ChangeList(ctx, head.Name, add, remove, replace, k.by(), note)
	if err != nil {
		return gone(fmt.Errorf("change list: %w", err), head.Name)
	}
	s.listsChanged(k)
	return k.ok(wireApplied{s.listOf(did.Head), did.Added, did.Changed, did.Unchanged, did.Removed})
}

// removeItems takes values from a list.
func (s *Server) removeItems(k *call, head lists.Head, values []string, note string) error {
	if len(values) == 0 || len(values) > maxItemsAtOnce {
		return invalidField("value", fmt.Sprintf("must name 1 to %d values.", maxItemsAtOnce))
	}
	remove := make([]string, len(values))
	for i, value := range values {
		var err error
		if remove[i], err = lists.Canonical(head.Type, value); err != nil {
			return invalidField("value", valueText(strconv.AppendQuote(nil, value))+" "+err.Error()+".")
		}
	}
	return s.changeList(k, head, nil, remove, false, note)
}

// getItems writes a page of items, or all as CSV for those who ask for it.
func (s *Server) getItems(k *call) error {
	head, err := s.pathList(k)
	if err != nil {
		return err
	}
	if k.wants("text/csv") {
		return s.exportItems(k, head)
	}
	return s.items(k, head)
}

// replaceItems makes the CSV in the body the whole list.
func (s *Server) replaceItems(k *call) error {
	head, err := s.pathList(k)
	if err != nil {
		return err
	}
	return s.importItems(k, head, true)
}

// addItems adds the items in the body, JSON or CSV.
func (s *Server) addItems(k *call) error {
	head, err := s.pathList(k)
	if err != nil {
		return err
	}
	if strings.HasPrefix(k.Request().Header.Get("Content-Type"), "text/csv") {
		return s.importItems(k, head, false)
	}
	var request wireChange
	if err := k.decodeLarge(&request); err != nil {
		return err
	}
	return s.addParsed(k, head, request)
}

func (s *Server) addParsed(k *call, head lists.Head, request wireChange) error {
	items, err := request.parsed(head.Type, s.now())
	if err != nil {
		return err
	}
	note, err := checkedNote(request.Note)
	if err != nil {
		return err
	}
	return s.changeList(k, head, items, nil, false, note)
}

// deleteItems removes the values that the query names.
func (s *Server) deleteItems(k *call) error {
	head, err := s.pathList(k)
	if err != nil {
		return err
	}
	note, err := checkedNote(k.QueryParam("note"))
	if err != nil {
		return err
	}
	return s.removeItems(k, head, k.QueryParams()["value"], note)
}

// consoleList is one list and a page of its items.
func (s *Server) consoleList(k *call) error {
	head, err := s.list(k, k.QueryParam("name"))
	if err != nil {
		return err
	}
	return s.items(k, head)
}

// listsExport writes a list as a file.
func (s *Server) listsExport(k *call) error {
	head, err := s.list(k, k.QueryParam("name"))
	if err != nil {
		return err
	}
	return s.exportItems(k, head)
}

// listsImport adds the CSV in the body to a list, or makes it the whole list.
func (s *Server) listsImport(k *call) error {
	head, err := s.list(k, k.QueryParam("name"))
	if err != nil {
		return err
	}
	return s.importItems(k, head, k.QueryParam("replace") == "true")
}

// listsAdd adds items to a list.
func (s *Server) listsAdd(k *call) error {
	var request wireChange
	if err := k.decodeLarge(&request); err != nil {
		return err
	}
	head, err := s.list(k, request.Name)
	if err != nil {
		return err
	}
	return s.addParsed(k, head, request)
}

// listsRemove takes values from a list.
func (s *Server) listsRemove(k *call) error {
	var request struct {
		Name   string   `json:"name"`
		Values []string `json:"values"`
		Note   string   `json:"note"`
	}
	if err := k.decodeLarge(&request); err != nil {
		return err
	}
	head, err := s.list(k, request.Name)
	if err != nil {
		return err
	}
	note, err := checkedNote(request.Note)
	if err != nil {
		return err
	}
	return s.removeItems(k, head, request.Values, note)
}
